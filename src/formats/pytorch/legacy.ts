import { elementBytes } from '../../core/dtype.js';
import { LIMITS } from '../../core/limits.js';
import { isMlserError, MlserError, malformed } from '../../errors.js';
import { Cursor } from '../../io/cursor.js';
import { type ByteSource, sliceSource } from '../../io/source.js';
import { TorchMeaning } from './globals.js';
import { type Unpickled, unpickle } from './pickle.js';
import type { Container } from './storages.js';
import { PyList, type PyStorage, type PyValue } from './values.js';

/** The number that torch.save wrote first before it used zip archives. */
export const LEGACY_MAGIC = 0x1950a86a20f9469cfc6cn;
const LEGACY_PROTOCOL = 1001n;
const FIRST_READ = 1 << 20;

/**
 * The format before torch 1.6: five pickles (magic number, protocol, system, object, storage keys), then for each
 * key its element count (i64) and its elements. Everything is little-endian, whatever machine wrote it.
 */
export async function readLegacy(source: ByteSource): Promise<Container> {
  const { object, keys, meaning, end } = await readPickles(source);
  const places = await locateStorages(source, keys, meaning, end);
  return {
    value: object,
    meaning,
    findings: [],
    formatVersion: `legacy ${LEGACY_PROTOCOL}`,
    storages: {
      swap: false,
      async open(key, tensor) {
        const place = places.get(key);
        if (!place)
          throw malformed(
            `${source.name}: tensor ${JSON.stringify(tensor)}: storage ${JSON.stringify(key)} is not in the list of storages, it has no data`,
            { file: source.name, storage: key },
            'the file is incomplete: save or download it again',
          );
        return sliceSource(source, place.offset, place.bytes, source.name);
      },
    },
  };
}

interface Pickles {
  readonly object: PyValue;
  readonly keys: PyValue;
  readonly meaning: TorchMeaning;
  /** Where the last pickle ends. */
  readonly end: number;
}

/** The pickles have no length: as much of the file is read as they turn out to need. */
async function readPickles(source: ByteSource): Promise<Pickles> {
  for (let wanted = FIRST_READ; ; wanted *= 4) {
    const length = Math.min(wanted, source.size, LIMITS.PICKLE_BYTES);
    const bytes = await source.read(0, length);
    try {
      return interpret(bytes, source.name);
    } catch (error) {
      const short = isMlserError(error) && error.code === 'E_TRUNCATED';
      if (!short || length === source.size) throw error;
      if (length === LIMITS.PICKLE_BYTES)
        throw new MlserError(
          'E_LIMIT',
          `${source.name}: the pickles go on after ${length} bytes; PICKLE_BYTES is ${LIMITS.PICKLE_BYTES}`,
          { details: { file: source.name, limit: 'PICKLE_BYTES' } },
        );
    }
  }
}

function interpret(bytes: Uint8Array, file: string): Pickles {
  const meaning = new TorchMeaning(file, true);
  let at = 0;
  const next = (): PyValue => {
    const { value, length }: Unpickled = unpickle(bytes, file, meaning, at);
    at += length;
    return value;
  };
  if (next() !== LEGACY_MAGIC)
    throw new MlserError('E_UNSUPPORTED', `${file}: a plain pickle, not a file that torch.save wrote`, {
      details: { file },
      hint: 'load it with Python and save it with torch.save',
    });
  const protocol = next();
  if (protocol !== LEGACY_PROTOCOL)
    throw malformed(`${file}: legacy protocol version ${String(protocol)}, needed ${LEGACY_PROTOCOL}`, {
      file,
    });
  next(); // the system that wrote it
  const object = next();
  const keys = next();
  return { object, keys, meaning, end: at };
}

/** Walks the storages behind the pickles: a count each, which must be the one that the pickle says. */
async function locateStorages(
  source: ByteSource,
  keys: PyValue,
  meaning: TorchMeaning,
  end: number,
): Promise<Map<string, { offset: number; bytes: number }>> {
  const file = source.name;
  if (!(keys instanceof PyList)) throw malformed(`${file}: the list of storages is not a list`, { file });
  const places = new Map<string, { offset: number; bytes: number }>();
  let at = end;
  for (const key of keys.items) {
    if (typeof key !== 'string' && typeof key !== 'bigint')
      throw malformed(`${file}: a storage key is not text`, { file, offset: at });
    const name = String(key);
    const storage = meaning.storages.get(name);
    if (!storage || places.has(name))
      throw malformed(
        `${file}: the list of storages names ${JSON.stringify(name)} ${storage ? 'twice' : 'which no tensor uses'}`,
        { file, storage: name },
      );
    const header = new Cursor(await source.read(at, 8), file, { base: at });
    const count = header.i64big();
    if (count !== storage.count)
      throw malformed(
        `${file}: storage ${JSON.stringify(name)} at byte ${at} has ${count} elements, the pickle says ${storage.count}`,
        { file, storage: name, offset: at },
      );
    const bytes = storageBytes(storage);
    if (BigInt(at) + 8n + bytes > BigInt(source.size))
      throw new MlserError(
        'E_TRUNCATED',
        `${file}: storage ${JSON.stringify(name)} needs ${bytes} bytes from byte ${at + 8} on, the file ends at ${source.size}`,
        {
          details: {
            file,
            storage: name,
            offset: at + 8,
            needed: bytes.toString(),
            available: source.size - at - 8,
          },
          hint: 'the file looks incomplete: download or copy it again',
        },
      );
    places.set(name, { offset: at + 8, bytes: Number(bytes) });
    at += 8 + Number(bytes);
  }
  return places;
}

/** Bytes of a storage: its count times the size of an element; untyped ones count bytes. */
export function storageBytes(storage: PyStorage): bigint {
  const dtype = storage.type?.dtype;
  return storage.count * BigInt((dtype && elementBytes(dtype)) ?? 1);
}
