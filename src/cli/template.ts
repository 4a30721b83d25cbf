import * as fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import { MlserError } from '../errors.js';
import { withIo } from '../io/disk.js';
import type { InspectReport } from '../operations/reports.js';
import { safe, safeLines } from './escape.js';
import { layerGroups } from './render/layers.js';
import { count, figure, grouped, percent, shape, size } from './render/numbers.js';

const SHIPPED = fileURLToPath(new URL('../../schemas/templates', import.meta.url));
const TEMPLATE_BYTES = 4 * 1024 * 1024;

/** A file, or the bare name of a shipped template: `model-card`, `model-card.md`, `model-card.md.jinja`. */
function readTemplate(name: string): string {
  const shipped = fs.existsSync(SHIPPED)
    ? fs.readdirSync(SHIPPED).filter((file) => file.endsWith('.jinja'))
    : [];
  const bare = shipped.find((file) => [file, file.slice(0, -6), file.split('.')[0]].includes(name));
  const file = fs.existsSync(name) || bare === undefined ? name : `${SHIPPED}/${bare}`;
  if (!fs.existsSync(file))
    throw new MlserError('E_NOT_FOUND', `${name}: no such template`, {
      details: { file: name },
      hint: `name a file, or a shipped template: ${shipped.map((known) => known.slice(0, -6)).join(', ')}`,
    });
  const stat = withIo(name, () => fs.statSync(file));
  if (!stat.isFile() || stat.size > TEMPLATE_BYTES)
    throw new MlserError('E_UNSUPPORTED', `${name} is not a template of at most 4 MiB`, {
      details: { file: name },
      hint: 'name a text file with Jinja in it',
    });
  return withIo(name, () => fs.readFileSync(file, 'utf8'));
}

/**
 * Fills a Jinja template from an inspect report. Its variables and functions are listed in `schemas/templates/README.md`.
 * Control characters in the report's texts are escaped first, line ends and tabs apart. E_NOT_FOUND, E_MALFORMED.
 */
export async function renderTemplate(name: string, report: InspectReport): Promise<string> {
  const text = readTemplate(name);
  const { Template } = await import('@huggingface/jinja');
  try {
    const filled = new Template(text).render(variables(report));
    return filled.endsWith('\n') ? filled : `${filled}\n`;
  } catch (error) {
    throw new MlserError(
      'E_MALFORMED',
      `${name}: ${error instanceof Error ? error.message : String(error)}`,
      {
        details: { file: name },
        hint: 'the template must be Jinja; its variables are the fields of inspect --json',
        cause: error,
      },
    );
  }
}

/** The engine hands lists to functions as its own boxed values. */
const unboxed = (value: unknown): unknown =>
  typeof value === 'object' && value !== null && 'value' in value ? value.value : value;

const variables = (report: InspectReport): Record<string, unknown> => ({
  ...cleaned(report),
  name: safe(report.path.split(/[\\/]/).findLast((part) => part !== '') ?? report.path),
  layers: clean(layerGroups(report.tensors)),
  size: (bytes: number) => size(bytes),
  count: (value: number) => count(value),
  grouped: (value: number) => grouped(value),
  percent: (fraction: number) => percent(fraction),
  figure: (value: number | string | null) => figure(value),
  shape: (dims: readonly unknown[] | null) =>
    shape(dims?.map((dim) => unboxed(dim) as number | string | null) ?? null),
  md: (value: unknown) => markdown(String(value)),
  js: (value: unknown) => JSON.stringify(safe(String(value))),
  sh: (value: unknown) => `'${safe(String(value)).replaceAll("'", "'\\''")}'`,
  code: (value: unknown) => safe(String(value)).replace(/\*\/|```/g, '…'),
});

/** One line of Markdown in which nothing of the text is markup. */
const markdown = (text: string): string =>
  safe(text).replace(/[\\`*{}[\]<>|#~]/g, (char) =>
    char === '<' ? '&lt;' : char === '>' ? '&gt;' : char === '_' ? char : `\\${char}`,
  );

function cleaned(value: unknown): Record<string, unknown> {
  return clean(value) as Record<string, unknown>;
}

function clean(value: unknown): unknown {
  if (typeof value === 'string') return safeLines(value);
  if (Array.isArray(value)) return value.map(clean);
  if (typeof value !== 'object' || value === null) return value;
  const out: Record<string, unknown> = Object.create(null);
  for (const [key, field] of Object.entries(value)) if (field !== undefined) out[safe(key)] = clean(field);
  return out;
}
