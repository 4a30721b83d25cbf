import { readFileSync } from 'node:fs';
import { MlserError } from '../errors.js';
import { withIo } from '../io/disk.js';

const KEY_BYTES = 32;
const HEX = /^[0-9a-fA-F]{64}$/;

/** The key of encrypted checkpoints: of `--key-file`, else of MLSER_KEY. It never stands on the command line. */
export function keyOf(
  file: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): { readonly key?: Uint8Array } {
  if (file !== undefined) return { key: keyFromFile(file) };
  const text = env['MLSER_KEY']?.trim();
  if (text === undefined || text === '') return {};
  if (!HEX.test(text)) throw notAKey('MLSER_KEY is not 64 hexadecimal digits');
  return { key: new Uint8Array(Buffer.from(text, 'hex')) };
}

function keyFromFile(file: string): Uint8Array {
  const bytes = withIo(file, () => readFileSync(file));
  if (bytes.byteLength === KEY_BYTES) return new Uint8Array(bytes);
  const text = bytes.subarray(0, 200).toString('latin1').trim();
  if (bytes.byteLength < 200 && HEX.test(text)) return new Uint8Array(Buffer.from(text, 'hex'));
  throw notAKey(`${file} holds ${bytes.byteLength} bytes, and no key`);
}

const notAKey = (why: string): MlserError =>
  new MlserError('E_USAGE', why, {
    hint: 'a key is 32 random bytes, or 64 hexadecimal digits: openssl rand -hex 32 > key',
  });
