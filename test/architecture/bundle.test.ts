import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

/** What a file of the bundle loads by itself, before anything is asked of it. */
const loads = (file: string): string[] =>
  [
    ...readFileSync(`dist/bundle/${file}.cjs`, 'utf8').matchAll(
      /^(?:let|const|var) \w+ = require\("([^"]+)"\)/gm,
    ),
  ]
    .map(([, name = '']) => name)
    .filter((name) => !name.includes('rolldown-runtime'));

describe('the bundle', () => {
  it('starts without what takes milliseconds to load', () => {
    const slow = /crypto|zlib|stream|child_process|http|net|worker_threads|^[a-z@][^:]*$/;
    const found = loads('start');
    expect(found).toContain('node:fs');
    expect(found.filter((name) => slow.test(name))).toEqual([]);
  });

  it.each(['pytorch', 'onnx', 'npz'])('opens %s with the files it needs, and no slow module', (reader) => {
    expect(loads(reader).filter((name) => /crypto|zlib|stream/.test(name))).toEqual([]);
    expect(loads(reader).filter((name) => name.startsWith('./')).length).toBeLessThanOrEqual(3);
  });

  it('keeps the notices of the packages that are in it', () => {
    expect(readFileSync('dist/bundle/start.cjs', 'utf8')).toContain('TJ Holowaychuk');
  });
});
