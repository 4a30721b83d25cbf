import { type DType, tensorBytes } from '../../core/dtype.js';
import { LIMITS } from '../../core/limits.js';
import { type Finding, finding, MlserError, malformed } from '../../errors.js';
import { decodeUtf8 } from '../../io/cursor.js';
import { type Described, describe } from './dtypes.js';
import { type Literal, LiteralError, parseLiteral } from './literal.js';

/** Magic, version and a 16-bit length; version 2 and 3 have a 32-bit one. */
const MAGIC = Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59);
const KEYS = ['descr', 'fortran_order', 'shape'] as const;

/** Enough for nearly every header: numpy pads them to 128 bytes. */
export const HEAD_BYTES = 256;

export const hasMagic = (head: Uint8Array): boolean => MAGIC.every((byte, i) => head[i] === byte);

/** Where an array stands: what messages name. */
export interface Place {
  readonly file: string;
  /** Entry of an npz. */
  readonly entry?: string;
}

const label = ({ file, entry }: Place): string =>
  entry === undefined ? file : `${file}: entry ${JSON.stringify(entry)}`;

export interface ArrayHeader {
  readonly version: string;
  readonly dtype: DType;
  readonly bigEndian: boolean;
  readonly fortran: boolean;
  readonly shape: readonly number[];
  /** Where the data begins. */
  readonly dataOffset: number;
  readonly byteLength: number;
  /** The bytes before the data. */
  readonly raw: Uint8Array;
  readonly findings: readonly Finding[];
}

/**
 * Reads the header of an npy array (numpy.lib.format, versions 1.0 to 3.0) of `size` bytes in all; `head` gives its
 * first bytes, fewer only at the end. Errors: E_TRUNCATED, E_MALFORMED, E_LIMIT (NPY_HEADER_BYTES, RANK),
 * E_UNSUPPORTED (version, types that are no numbers), E_UNSAFE (object arrays).
 */
export async function readHeader(
  head: (length: number) => Promise<Uint8Array>,
  size: number,
  place: Place,
): Promise<ArrayHeader> {
  let bytes = await head(HEAD_BYTES);
  const { version, start, length } = preamble(bytes, size, place);
  const dataOffset = start + length;
  if (bytes.byteLength < dataOffset) bytes = await head(dataOffset);
  const raw = bytes.subarray(0, dataOffset);
  const { fields, longs } = parseFields(raw.subarray(start), version, place);
  const type = numberType(fields.descr, place);
  const fortran = fields.fortran_order;
  if (fortran.kind !== 'bool') throw bad(place, `fortran_order is ${show(fortran)}; True or False is needed`);
  const shape = readShape(fields.shape, place);
  const byteLength = tensorBytes(type.dtype, shape, label(place));
  checkSize(place, size, dataOffset, byteLength);
  return {
    version,
    dtype: type.dtype,
    bigEndian: type.bigEndian,
    fortran: fortran.value,
    shape,
    dataOffset,
    byteLength,
    raw,
    findings: notices(place, {
      longs,
      lost: type.lost ?? false,
      descr: show(fields.descr),
      dtype: type.dtype,
    }),
  };
}

const bad = (place: Place, why: string): MlserError =>
  malformed(
    `${label(place)}: npy header: ${why}`,
    { file: place.file, entry: place.entry },
    'write the array again with numpy.save or numpy.savez',
  );

function preamble(
  bytes: Uint8Array,
  size: number,
  place: Place,
): { version: string; start: number; length: number } {
  const cut = (needed: number): MlserError =>
    new MlserError(
      'E_TRUNCATED',
      `${label(place)}: an npy array begins with at least ${needed} bytes of header, ${size} are there`,
      {
        details: { file: place.file, entry: place.entry, needed, available: size },
        hint: 'the file looks incomplete: download or copy it again',
      },
    );
  if (size === 0)
    throw malformed(`${label(place)} is empty (0 bytes)`, { file: place.file, entry: place.entry });
  if (!hasMagic(bytes)) {
    if (MAGIC.subarray(0, bytes.byteLength).every((byte, i) => bytes[i] === byte)) throw cut(10);
    const pickle = bytes[0] === 0x80 && (bytes[1] ?? 0) <= 5;
    throw malformed(
      `${label(place)} is ${pickle ? 'a Python pickle, not an npy array; pickles are never loaded' : 'no npy array: it does not begin with \\x93NUMPY'}`,
      { file: place.file, entry: place.entry },
      pickle ? 'save the array itself with numpy.save' : 'check that this is the right file',
    );
  }
  if (size < 10 || bytes.byteLength < 10) throw cut(10);
  const version = `${bytes[6]}.${bytes[7]}`;
  if (!['1.0', '2.0', '3.0'].includes(version))
    throw new MlserError(
      'E_UNSUPPORTED',
      `${label(place)}: npy version ${version}; 1.0, 2.0 and 3.0 are known`,
      {
        details: { file: place.file, entry: place.entry, version },
        hint: 'write the array again with numpy.save',
      },
    );
  const start = version === '1.0' ? 10 : 12;
  if (size < start || bytes.byteLength < start) throw cut(start);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = version === '1.0' ? view.getUint16(8, true) : view.getUint32(8, true);
  if (start + length > size) throw cut(start + length);
  if (length > LIMITS.NPY_HEADER_BYTES)
    throw new MlserError(
      'E_LIMIT',
      `${label(place)}: an npy header of ${length} bytes; NPY_HEADER_BYTES is ${LIMITS.NPY_HEADER_BYTES}`,
      { details: { file: place.file, entry: place.entry, limit: 'NPY_HEADER_BYTES', value: length } },
    );
  return { version, start, length };
}

function parseFields(
  bytes: Uint8Array,
  version: string,
  place: Place,
): { fields: Record<(typeof KEYS)[number], Literal>; longs: boolean } {
  const text = version === '3.0' ? decodeUtf8(bytes) : Buffer.from(bytes).toString('latin1');
  if (text === undefined) throw bad(place, 'it is not UTF-8, as version 3.0 needs');
  const { value, longs } = parse(text, place);
  if (value.kind !== 'dict') throw bad(place, `it is ${show(value)}, not a dictionary`);
  if (longs && version === '3.0')
    throw bad(place, 'an integer with the L of Python 2, which version 3.0 has not');
  const found = new Map<string, Literal>();
  for (const [key, item] of value.entries) {
    if (key.kind !== 'string' || !KEYS.some((known) => known === key.value))
      throw bad(place, `the key ${show(key)}; it has just ${KEYS.join(', ')}`);
    if (found.has(key.value)) throw bad(place, `the key ${show(key)} is there twice`);
    found.set(key.value, item);
  }
  const field = (key: (typeof KEYS)[number]): Literal => {
    const item = found.get(key);
    if (item === undefined) throw bad(place, `the key '${key}' is missing`);
    return item;
  };
  return {
    fields: { descr: field('descr'), fortran_order: field('fortran_order'), shape: field('shape') },
    longs,
  };
}

function parse(text: string, place: Place): ReturnType<typeof parseLiteral> {
  try {
    return parseLiteral(text);
  } catch (error) {
    if (!(error instanceof LiteralError)) throw error;
    throw bad(
      place,
      `no Python literal dictionary: ${error.message} (character ${error.at} of ${text.length})`,
    );
  }
}

/** The one element type, or why there is none. */
function numberType(descr: Literal, place: Place): Extract<Described, { is: 'number' }> {
  const type = describeLiteral(descr);
  if (type.is === 'number') return type;
  const details = { file: place.file, entry: place.entry, descr: show(descr) };
  if (type.is === 'object')
    throw new MlserError(
      'E_UNSAFE',
      `${label(place)} is an array of Python objects (${show(descr)}): it is a pickle, which is never loaded`,
      { details, hint: 'save it as an array of numbers, or leave it out' },
    );
  if (type.is === 'other')
    throw new MlserError(
      'E_UNSUPPORTED',
      `${label(place)} holds ${type.what} (${show(descr)}), not numbers`,
      {
        details,
        hint: 'leave the array out, or save it as numbers',
      },
    );
  throw bad(place, `descr is ${show(descr)}, which describes no element type`);
}

function describeLiteral(descr: Literal): Described {
  if (descr.kind === 'string')
    return descr.value.includes(',')
      ? { is: 'other', what: 'records (a structured dtype)' }
      : describe(descr.value);
  // A list of fields, or (base type, shape) of a subarray.
  if ((descr.kind === 'list' || descr.kind === 'tuple') && descr.items.length > 0)
    return anyObject(descr) ? { is: 'object' } : { is: 'other', what: 'records (a structured dtype)' };
  return { is: 'nothing' };
}

const anyObject = (descr: Literal): boolean =>
  descr.kind === 'string'
    ? describe(descr.value).is === 'object'
    : (descr.kind === 'list' || descr.kind === 'tuple') && descr.items.some(anyObject);

function readShape(shape: Literal, place: Place): number[] {
  if (shape.kind !== 'tuple') throw bad(place, `shape is ${show(shape)}; a tuple of integers is needed`);
  if (shape.items.length > LIMITS.RANK)
    throw new MlserError(
      'E_LIMIT',
      `${label(place)} has ${shape.items.length} dimensions; RANK is ${LIMITS.RANK}`,
      {
        details: { file: place.file, entry: place.entry, limit: 'RANK', value: shape.items.length },
      },
    );
  return shape.items.map((dim) => {
    if (dim.kind !== 'int') throw bad(place, `shape holds ${show(dim)}; integers are needed`);
    if (dim.value < 0n || dim.value > BigInt(Number.MAX_SAFE_INTEGER))
      throw bad(place, `shape holds ${dim.value}, which is no count of elements`);
    return Number(dim.value);
  });
}

function checkSize(place: Place, size: number, dataOffset: number, byteLength: number): void {
  const available = size - dataOffset;
  if (byteLength > available)
    throw new MlserError(
      'E_TRUNCATED',
      `${label(place)}: the data needs ${byteLength} bytes, ${available} are there`,
      {
        details: { file: place.file, entry: place.entry, offset: dataOffset, needed: byteLength, available },
        hint: 'the file looks incomplete: download or copy it again',
      },
    );
}

function notices(
  place: Place,
  facts: { longs: boolean; lost: boolean; descr: string; dtype: DType },
): Finding[] {
  const subject = place.entry ?? place.file;
  const findings: Finding[] = [];
  if (facts.longs)
    findings.push(
      finding(
        'warning',
        'NPY_PYTHON2_HEADER',
        subject,
        `${label(place)}: the header has the long integers of Python 2`,
      ),
    );
  if (facts.lost)
    findings.push(
      finding(
        'warning',
        'NPY_TYPE_LOST',
        subject,
        `${label(place)}: ${facts.descr} names no element type (numpy writes bfloat16 and 8-bit floats so); the bits are read as ${facts.dtype}`,
      ),
    );
  return findings;
}

/** A literal for a message, cut to a readable length. */
function show(literal: Literal): string {
  const text = render(literal, 4);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

function render(literal: Literal, depth: number): string {
  if (literal.kind === 'string') return JSON.stringify(literal.value.slice(0, 100));
  if (literal.kind === 'int') return literal.value.toString().slice(0, 100);
  if (literal.kind === 'float') return literal.text.slice(0, 100);
  if (literal.kind === 'bool') return literal.value ? 'True' : 'False';
  if (literal.kind === 'none') return 'None';
  if (depth === 0 || literal.kind === 'dict') return '{…}';
  const items = literal.items.slice(0, 8).map((item) => render(item, depth - 1));
  return literal.kind === 'list' ? `[${items.join(', ')}]` : `(${items.join(', ')})`;
}
