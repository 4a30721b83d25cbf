import { safeJson } from './escape.js';
import type { CliStream } from './io.js';

/** Documents are handed to the stream in pieces, so that a million tensors never are one string. */
const PIECE = 1 << 16;

/**
 * Prints one JSON document, a line per field and per item of a list of objects: good for `grep` and for `diff`,
 * and small. Characters that could steer a terminal are escaped.
 */
export function printJson(out: CliStream, document: unknown): void {
  let pending = '';
  for (const part of lines(document, '')) {
    pending += part;
    if (pending.length < PIECE) continue;
    out.write(safeJson(pending));
    pending = '';
  }
  out.write(safeJson(`${pending}\n`));
}

/** The whole text, for files. */
export const jsonText = (document: unknown): string => safeJson(`${[...lines(document, '')].join('')}\n`);

function* lines(value: unknown, indent: string): Generator<string> {
  const inner = `${indent}  `;
  if (Array.isArray(value) && value.some((item) => typeof item === 'object' && item !== null)) {
    yield '[';
    for (const [index, item] of value.entries()) {
      yield `${index ? ',' : ''}\n${inner}`;
      if (indent === '' && isReport(item)) yield* lines(item, inner);
      else yield compact(item);
    }
    yield `\n${indent}]`;
  } else if (typeof value === 'object' && value !== null && !Array.isArray(value) && indent.length <= 4) {
    const entries = Object.entries(value).filter(([, field]) => field !== undefined);
    if (entries.length === 0) return yield '{}';
    yield '{';
    for (const [index, [key, field]] of entries.entries()) {
      yield `${index ? ',' : ''}\n${inner}${JSON.stringify(key)}: `;
      yield* lines(field, inner);
    }
    yield `\n${indent}}`;
  } else yield compact(value);
}

const isReport = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && ('command' in value || 'error' in value);

const compact = (value: unknown): string => JSON.stringify(value);
