import { isUtf8 } from 'node:buffer';
import type { DType } from '../../core/dtype.js';
import { dtypeNamed } from './dtypes.js';

/** An entry whose numbers are exact. */
export interface UsualEntry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

export interface UsualHeader {
  readonly entries: readonly UsualEntry[];
  readonly metadata: ReadonlyMap<string, string> | undefined;
}

/** Longer headers are read value by value: the text would be there three times. */
const MOST_BYTES = 4 << 20;
const [SPACE, BACKSLASH] = [0x20, 0x5c];

/**
 * A header as all known writers make it: JSON without white space or escapes, that JSON.parse gives back exactly. Whatever
 * would be lost on the way (a key that comes twice, their order, a number past 2^53 or written in another way) shows, because
 * written again it is another text; then, and where anything is not as it should be, undefined: the strict reader says what it
 * is. Twenty times as fast as that on the first file of a process.
 */
export function usualHeader(bytes: Uint8Array, metadataKey: string): UsualHeader | undefined {
  let { length } = bytes;
  while (length > 0 && bytes[length - 1] === SPACE) length--;
  if (length > MOST_BYTES || bytes.includes(BACKSLASH) || !isUtf8(bytes)) return undefined;
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, length).toString();
  let header: unknown;
  try {
    header = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isRecord(header)) return undefined;
  const entries: UsualEntry[] = [];
  let metadata: Map<string, string> | undefined;
  for (const [name, value] of Object.entries(header)) {
    if (!isRecord(value)) return undefined;
    if (name === metadataKey) {
      metadata = new Map();
      for (const [key, word] of Object.entries(value)) {
        if (typeof word !== 'string') return undefined;
        metadata.set(key, word);
      }
      continue;
    }
    const entry = entryOf(name, value);
    if (!entry) return undefined;
    entries.push(entry);
  }
  // Last, when nothing in it is nested: writing goes as deep as what it writes.
  return JSON.stringify(header) === text ? { entries, metadata } : undefined;
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const areSizes = (value: unknown): value is readonly number[] =>
  Array.isArray(value) && value.every((one) => Number.isSafeInteger(one) && one >= 0);

function entryOf(name: string, value: Readonly<Record<string, unknown>>): UsualEntry | undefined {
  const { dtype: type, shape, data_offsets: offsets, ...others } = value;
  const dtype = typeof type === 'string' ? dtypeNamed(type) : undefined;
  if (dtype === undefined || !areSizes(shape) || !areSizes(offsets)) return undefined;
  const [begin, end] = offsets;
  if (begin === undefined || end === undefined || offsets.length > 2) return undefined;
  for (const _ in others) return undefined;
  return { name, dtype, shape, begin, end };
}
