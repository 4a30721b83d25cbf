// RESULTS.md has parts that benchmarks write, between `<!-- begin NAME -->` and `<!-- end NAME -->`.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';

const file = path.join(path.dirname(fileURLToPath(import.meta.url)), 'RESULTS.md');

/** Puts the text in the place of the part of that name, or at the end. */
export function replaceSection(name, text) {
  const begin = `<!-- begin ${name} -->`;
  const end = `<!-- end ${name} -->`;
  const old = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '# Measurements\n\n';
  const body = `${begin}\n${text}\n${end}`;
  fs.writeFileSync(
    file,
    old.includes(begin)
      ? old.slice(0, old.indexOf(begin)) + body + old.slice(old.indexOf(end) + end.length)
      : `${old.trimEnd()}\n\n${body}\n`,
  );
}
