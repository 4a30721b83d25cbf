import { type Finding, finding, MlserError } from '../../errors.js';
import type { InputFiles } from '../../io/files.js';
import { type ByteSource, readChunks } from '../../io/source.js';
import { invalid } from './invalid.js';
import type { TensorProto } from './schema.js';
import type { TensorFacts } from './tensor-facts.js';

/** Where a tensor's bytes lie outside the model file. */
export interface ExternalRange {
  readonly source: ByteSource;
  readonly offset: number;
  /** Proves the file against its checksum before the first byte is used; absent if there is nothing to prove. */
  readonly verify?: () => Promise<void>;
}

/** Data files up to this size are held against their checksum when the model is opened. */
const CHECK_AT_ONCE_BYTES = 16 * 1024 * 1024;

/** The external data of one model: opens each file once. */
export class ExternalData {
  readonly #files: InputFiles;
  readonly #findings: Finding[];
  readonly #checked = new Map<string, Promise<void>>();

  constructor(files: InputFiles, findings: Finding[]) {
    this.#files = files;
    this.#findings = findings;
  }

  /**
   * The range of a tensor with data_location EXTERNAL, checked against the size of the file (docs/ExternalData.md).
   * Keys: location, offset, length, checksum (SHA-1 of the file), basepath (a hint of writers, not used).
   * E_MALFORMED, E_UNSAFE (a path out of the folder), E_NOT_FOUND, E_TRUNCATED, E_INTEGRITY.
   */
  async open(tensor: TensorProto, facts: TensorFacts): Promise<ExternalRange> {
    const { label, file, byteLength: needed } = facts;
    const details = { file, tensor: facts.info.name };
    const keys = this.#keys(tensor, facts);
    const location = keys.get('location') ?? '';
    if (location === '') throw invalid(`${label} is stored externally without a location`, details);
    const source = await this.#source(location, facts);
    const offset = this.#number(keys.get('offset'), 'offset', facts) ?? 0n;
    const length = this.#number(keys.get('length'), 'length', facts);
    const size = BigInt(source.size);
    const end = offset + (length ?? BigInt(needed));
    if (length !== undefined && length !== BigInt(needed))
      throw invalid(`${label}: external length ${length}, the shape needs ${needed}`, details);
    if (offset > size || end > size)
      throw new MlserError(
        'E_TRUNCATED',
        `${label}: bytes ${offset} to ${end} of ${location}, which has ${size}`,
        {
          details: { ...details, offset: String(offset), needed, available: source.size },
          hint: 'the data file belongs to another model or is incomplete: copy both again',
        },
      );
    if (length === undefined && end < size)
      this.#findings.push(
        finding(
          'warning',
          'EXTERNAL_SIZE',
          facts.info.name,
          `${label}: ${location} has ${size} bytes and no length is given; the first ${needed} are used`,
        ),
      );
    if (location === this.#files.main)
      this.#findings.push(
        finding(
          'warning',
          'EXTERNAL_SELF',
          facts.info.name,
          `${label}: the data file is the model file itself`,
        ),
      );
    const checksum = keys.get('checksum');
    const verify = checksum === undefined ? undefined : await this.#verifier(source, checksum, label);
    return { source, offset: Number(offset), ...(verify ? { verify } : {}) };
  }

  #keys(tensor: TensorProto, { label, info, file }: TensorFacts): Map<string, string> {
    const keys = new Map<string, string>();
    const odd: string[] = [];
    for (const { key = '', value = '' } of tensor.externalData) {
      if (!KNOWN_KEYS.has(key)) odd.push(key);
      else if (keys.has(key) && keys.get(key) !== value)
        throw invalid(`${label}: external data has two values for ${key}`, { file, tensor: info.name });
      else keys.set(key, value);
    }
    if (odd.length > 0)
      this.#findings.push(
        finding(
          'warning',
          'EXTERNAL_KEYS',
          info.name,
          `${label}: unknown external data keys ${odd.map((key) => JSON.stringify(key)).join(', ')} are ignored`,
        ),
      );
    return keys;
  }

  async #source(location: string, { label, file, info }: TensorFacts): Promise<ByteSource> {
    try {
      return await this.#files.open(location);
    } catch (error) {
      if (!(error instanceof MlserError)) throw error;
      throw new MlserError(error.code, `${label}: data file ${JSON.stringify(location)}: ${error.message}`, {
        details: { file, tensor: info.name, location, ...error.details },
        hint: error.hint ?? 'put the data file beside the model',
        cause: error,
      });
    }
  }

  /** A decimal number. Python's int() takes a sign and blanks too; onnxruntime does not: read, and said. */
  #number(text: string | undefined, key: string, facts: TensorFacts): bigint | undefined {
    if (text === undefined) return undefined;
    const clean = text.trim().replace(/^\+/, '');
    if (!/^\d+$/.test(clean))
      throw invalid(`${facts.label}: external ${key} ${JSON.stringify(text)} is not a decimal number`, {
        file: facts.file,
        tensor: facts.info.name,
        found: text,
      });
    if (clean !== text)
      this.#findings.push(
        finding(
          'warning',
          'EXTERNAL_NUMBER',
          facts.info.name,
          `${facts.label}: external ${key} ${JSON.stringify(text)} is read as ${clean}`,
        ),
      );
    return BigInt(clean);
  }

  async #verifier(source: ByteSource, checksum: string, label: string): Promise<() => Promise<void>> {
    const verify = (): Promise<void> => {
      const key = `${source.name}\0${checksum}`;
      const known = this.#checked.get(key) ?? checkSha1(source, checksum, label);
      this.#checked.set(key, known);
      return known;
    };
    if (source.size <= CHECK_AT_ONCE_BYTES) await verify();
    return verify;
  }
}

const KNOWN_KEYS: ReadonlySet<string> = new Set(['location', 'offset', 'length', 'checksum', 'basepath']);

async function checkSha1(source: ByteSource, checksum: string, label: string): Promise<void> {
  const { createHash } = await import('node:crypto'); // rarely needed, slow to load
  const hash = createHash('sha1');
  for await (const chunk of readChunks(source, 0, source.size)) hash.update(chunk);
  const found = hash.digest('hex');
  if (found !== checksum.trim().toLowerCase())
    throw new MlserError(
      'E_INTEGRITY',
      `${label}: SHA-1 of ${source.name} is ${found}, the model says ${checksum}`,
      {
        details: { file: source.name, found, needed: checksum },
        hint: 'the data file was changed or damaged: copy it again',
      },
    );
}
