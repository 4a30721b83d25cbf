import { type DType, dtypeFacts } from '../../core/dtype.js';
import { LIMITS } from '../../core/limits.js';
import { type Finding, finding, MlserError, malformed } from '../../errors.js';
import { JsonReader, KIND_TEXT } from '../../io/json-reader.js';
import type { ByteSource } from '../../io/source.js';
import { DTYPE_PAIRS, dtypeNamed } from './dtypes.js';
import { usualHeader } from './usual-header.js';

/** One tensor of a header, checked. `begin` counts from the first byte after the header. */
export interface Entry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

export interface Header {
  /** Bytes before the tensor data: 8 + the length of the header. */
  readonly dataOffset: number;
  /** In the order of the header. */
  readonly entries: readonly Entry[];
  readonly metadata: ReadonlyMap<string, string>;
  readonly findings: readonly Finding[];
}

type Integer = number | bigint;
interface RawEntry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly Integer[];
  readonly begin: Integer;
  readonly end: Integer;
}

export const METADATA_KEY = '__metadata__';

/**
 * Reads and checks the header of a safetensors file with two reads (safetensors README, "Format"): a u64 length N,
 * N bytes of JSON, then the tensors without holes, overlaps or trailing bytes.
 *
 * @throws E_TRUNCATED, E_MALFORMED, E_LIMIT; every length is compared with the file before it is used.
 */
export async function readHeader(source: ByteSource): Promise<Header> {
  const { name } = source;
  if (source.size < 8)
    throw new MlserError(
      'E_TRUNCATED',
      `${name} has ${source.size} bytes; a safetensors file begins with an 8-byte header length`,
      { details: { file: name, size: source.size, needed: 8 }, hint: 'download or copy it again' },
    );
  const head = await source.read(0, 8);
  const length = new DataView(head.buffer, head.byteOffset, 8).getBigUint64(0, true);
  const bytes = await source.read(8, checkLength(length, source));
  return parseHeader(bytes, source);
}

function checkLength(length: bigint, { name, size }: ByteSource): number {
  const details = { file: name, offset: 0, headerLength: length.toString(), size };
  const limit = LIMITS.SAFETENSORS_HEADER_BYTES;
  if (length === 0n)
    throw malformed(`${name}: the header length is 0, but a header is at least "{}"`, details);
  if (length > BigInt(size - 8) && length > BigInt(limit))
    throw malformed(
      `${name}: the first 8 bytes say that the header has ${length} bytes, but the file has ${size} and a header at most ${limit}`,
      details,
      'this is no safetensors file, or its first bytes are damaged',
    );
  if (length > BigInt(size - 8))
    throw new MlserError(
      'E_TRUNCATED',
      `${name}: the header has ${length} bytes, but only ${size - 8} follow its length`,
      { details, hint: 'the file looks incomplete: download or copy it again' },
    );
  if (length > BigInt(limit))
    throw new MlserError(
      'E_LIMIT',
      `${name}: the header has ${length} bytes, more than ${limit} (limit SAFETENSORS_HEADER_BYTES)`,
      { details: { ...details, limit: 'SAFETENSORS_HEADER_BYTES' } },
    );
  return Number(length);
}

function parseHeader(bytes: Uint8Array, source: ByteSource): Header {
  const file = source.name;
  const dataOffset = 8 + bytes.byteLength;
  const usual = usualHeader(bytes, METADATA_KEY);
  const { entries, metadata, findings } = usual
    ? { ...usual, entries: usual.entries.map((entry) => checkEntry(entry, file)), findings: [] }
    : strictHeader(bytes, file);
  checkLayout(entries, source, dataOffset);
  const names = checkNames(
    entries.map(({ name }) => name),
    file,
  );
  return { dataOffset, entries, metadata: metadata ?? new Map(), findings: [...findings, ...names] };
}

/** Value by value, whatever it is. */
function strictHeader(
  bytes: Uint8Array,
  file: string,
): Pick<Header, 'entries' | 'findings'> & { readonly metadata: ReadonlyMap<string, string> | undefined } {
  const findings: Finding[] = [];
  const reader = new JsonReader(bytes, file, { what: 'header', base: 8, entry: 'tensor' });
  const leading = bytes[0] !== 0x7b;
  const entries: Entry[] = [];
  const names = new Set<string>();
  let metadata: ReadonlyMap<string, string> | undefined;
  let metadataSeen = false;

  reader.object((name) => {
    reader.subject = name;
    if (name === METADATA_KEY) {
      if (metadataSeen) throw reader.fail(`has ${METADATA_KEY} twice`);
      metadataSeen = true;
      metadata = readMetadata(reader, file, findings);
    } else {
      // The set grows once a name: one look-up instead of has() and add().
      const known = names.size;
      if (names.add(name).size === known)
        throw malformed(
          `${file}: tensor ${JSON.stringify(name)} is listed twice in the header`,
          { file, tensor: name },
          'the format forbids it: which of the two is meant cannot be known',
        );
      if (known >= LIMITS.TENSORS) throw tooMany(file);
      entries.push(checkEntry(readEntry(reader, name), file));
    }
    reader.subject = undefined;
  });
  const trailing = reader.end();

  if (leading)
    findings.push(
      finding(
        'warning',
        'HEADER_LEADING_SPACE',
        file,
        'the header does not begin with {, but with white space',
      ),
    );
  if (trailing.some((byte) => byte !== 0x20))
    findings.push(
      finding('warning', 'HEADER_PADDING', file, 'the header is padded with something else than spaces'),
    );
  return { entries, metadata, findings };
}

const tooMany = (file: string): MlserError =>
  new MlserError('E_LIMIT', `${file} has more than ${LIMITS.TENSORS} tensors (limit TENSORS)`, {
    details: { file, limit: 'TENSORS' },
  });

/** String to string; `null` means none. Of a key that comes twice the last value counts, with a warning. */
function readMetadata(reader: JsonReader, file: string, findings: Finding[]): ReadonlyMap<string, string> {
  const metadata = new Map<string, string>();
  if (reader.kind() === 'null') {
    reader.null();
    findings.push(finding('warning', 'METADATA_NULL', file, `${METADATA_KEY} is null, read as none`));
    return metadata;
  }
  const twice = new Set<string>();
  reader.object((key) => {
    if (reader.kind() !== 'string')
      throw reader.fail(
        `has ${KIND_TEXT[reader.kind()]} as metadata ${JSON.stringify(key)}, where a string was needed`,
        'safetensors metadata holds strings only',
      );
    if (metadata.has(key)) twice.add(key);
    metadata.set(key, reader.string());
  });
  const [first] = twice;
  if (first !== undefined)
    findings.push(
      finding(
        'warning',
        'METADATA_DUPLICATE_KEY',
        first,
        `${twice.size} metadata key(s) of ${file} come twice, first ${JSON.stringify(first)}; the last value was kept`,
      ),
    );
  return metadata;
}

function readEntry(reader: JsonReader, name: string): RawEntry {
  let dtype: DType | undefined;
  let shape: Integer[] | undefined;
  let begin: Integer | undefined;
  let end: Integer | undefined;
  reader.object((field) => {
    switch (field) {
      case 'dtype':
        if (dtype !== undefined) throw reader.fail('has "dtype" twice');
        dtype = readDtype(reader);
        return;
      case 'shape': {
        if (shape !== undefined) throw reader.fail('has "shape" twice');
        const dims: Integer[] = [];
        reader.array(() => dims.push(reader.unsigned('a dimension')));
        shape = dims.slice(); // an array that grew keeps room for 17
        return;
      }
      case 'data_offsets': {
        if (begin !== undefined) throw reader.fail('has "data_offsets" twice');
        let count = 0;
        reader.array(() => {
          const offset = reader.unsigned('an offset');
          if (count === 0) begin = offset;
          else if (count === 1) end = offset;
          else throw reader.fail('has more than two numbers in "data_offsets"');
          count++;
        });
        if (count < 2) throw reader.fail(`has ${count} of the two numbers in "data_offsets"`);
        return;
      }
      default:
        reader.skip(); // other fields have no meaning, as in the reference library
    }
  });
  if (dtype === undefined) throw reader.fail('lacks "dtype"');
  if (shape === undefined) throw reader.fail('lacks "shape"');
  if (begin === undefined || end === undefined) throw reader.fail('lacks "data_offsets"');
  return { name, dtype, shape, begin, end };
}

function readDtype(reader: JsonReader): DType {
  const kind = reader.kind();
  if (kind !== 'string') throw reader.fail(`has ${KIND_TEXT[kind]} as "dtype"`, KNOWN_DTYPES);
  const text = reader.string();
  const dtype = dtypeNamed(text);
  if (dtype === undefined)
    throw reader.fail(`has the unknown dtype ${JSON.stringify(text.slice(0, 40))}`, KNOWN_DTYPES);
  return dtype;
}

const KNOWN_DTYPES = `known types: ${DTYPE_PAIRS.map(([name]) => name).join(', ')}`;

/** Sizes, order and cover: sorted by place, each tensor begins where the one before ends, the last at the file's end. */
function checkLayout(entries: readonly Entry[], source: ByteSource, dataOffset: number): void {
  const file = source.name;
  const available = source.size - dataOffset;
  const sorted = (a: Entry, b: Entry): number => a.begin - b.begin || a.end - b.end;
  const inOrder = entries.every((entry, i) => i === 0 || sorted(entries[i - 1] ?? entry, entry) <= 0);
  let end = 0;
  let previous: Entry | undefined;
  let cut: Entry | undefined;
  for (const entry of inOrder ? entries : entries.toSorted(sorted)) {
    if (entry.begin !== end) {
      const what = entry.begin < end ? 'overlaps' : 'leaves a hole after';
      throw malformed(
        `${file}: tensor ${JSON.stringify(entry.name)} ${what} ${previous ? `tensor ${JSON.stringify(previous.name)}` : 'the header'}: it begins at ${entry.begin}, needed is ${end}`,
        { file, tensor: entry.name, offset: dataOffset + entry.begin, needed: end },
      );
    }
    end = entry.end;
    previous = entry;
    if (end > available) cut ??= entry;
  }
  if (cut)
    throw new MlserError(
      'E_TRUNCATED',
      `${file}: the tensors need ${end} bytes, the file holds ${available}: tensor ${JSON.stringify(cut.name)} should end at ${cut.end}`,
      {
        details: { file, tensor: cut.name, needed: end, available },
        hint: 'the file looks incomplete: download or copy it again',
      },
    );
  if (end < available)
    throw malformed(
      `${file}: the last ${available - end} bytes belong to no tensor (the data should end at byte ${dataOffset + end}, the file ends at ${source.size})`,
      { file, offset: dataOffset + end, size: source.size },
      'something was appended to the file, or its header is of another file',
    );
}

/** begin ≤ end, size = shape × type, whole bytes. */
function checkEntry(raw: RawEntry, file: string): Entry {
  return checkSmall(raw) ?? checkExactly(raw, file);
}

/** The usual case: right, and no number or product past 2^53. Anything else is left to `checkExactly`. */
function checkSmall({ name, dtype, shape, begin, end }: RawEntry): Entry | undefined {
  if (typeof begin !== 'number' || typeof end !== 'number') return undefined;
  let bits = dtypeFacts(dtype).bits;
  for (const dim of shape) {
    if (typeof dim !== 'number') return undefined;
    bits *= dim;
    if (!Number.isSafeInteger(bits)) return undefined;
  }
  return (end - begin) * 8 === bits
    ? { name, dtype, shape: shape as readonly number[], begin, end }
    : undefined;
}

/** Numbers past 2^53 are compared as bigints and shown as they stand in the file. */
function checkExactly(raw: RawEntry, file: string): Entry {
  const { name, dtype } = raw;
  const refuse = (problem: string): MlserError =>
    malformed(`${file}: tensor ${JSON.stringify(name)} ${problem}`, { file, tensor: name });
  const bits = bitsOf(raw, refuse);
  if (bits % 8n !== 0n) throw refuse(`has ${bits} bits, which is no whole number of bytes`);
  const begin = BigInt(raw.begin);
  const end = BigInt(raw.end);
  if (begin > end) throw refuse(`ends (${end}) before it begins (${begin})`);
  if (end - begin !== bits / 8n)
    throw refuse(`has ${end - begin} bytes, but ${dtype} [${raw.shape.join(', ')}] needs ${bits / 8n}`);
  if (end > BigInt(Number.MAX_SAFE_INTEGER)) throw refuse(`ends at byte ${end}, which no file reaches`);
  const shape = raw.shape.map((dim) => {
    if (typeof dim === 'number') return dim;
    throw refuse(`has the dimension ${dim}, which is past 2^53`);
  });
  return { name, dtype, shape, begin: Number(begin), end: Number(end) };
}

const U64 = 1n << 64n;

/** Size in bits; the product of the dimensions must fit 64 bits at every step, left to right, as the reference has it. */
function bitsOf({ dtype, shape }: RawEntry, refuse: (problem: string) => MlserError): bigint {
  let count = 1n;
  for (const dim of shape) {
    count *= BigInt(dim);
    if (count >= U64) throw refuse(`has a shape whose product passes 64 bits: [${shape.join(', ')}]`);
  }
  const size = count * BigInt(dtypeFacts(dtype).bits);
  if (size >= U64) throw refuse(`has a size that passes 64 bits: ${dtype} [${shape.join(', ')}]`);
  return size;
}

/** Legal, but a trap for people and terminals: one warning for all. */
function checkNames(names: readonly string[], file: string): Finding[] {
  const odd = names.filter((name) => /[\p{Cc}\u202a-\u202e\u2066-\u2069]/u.test(name));
  const [first] = odd;
  if (first === undefined) return [];
  const message = `${odd.length} tensor name(s) of ${file} hold control or direction characters, first ${JSON.stringify(first)}`;
  return [finding('warning', 'NAME_CONTROL_CHARACTERS', first, message)];
}
