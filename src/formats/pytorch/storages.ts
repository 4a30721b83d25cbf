import type { Finding } from '../../errors.js';
import type { ByteSource } from '../../io/source.js';
import type { TorchMeaning } from './globals.js';
import type { PyValue } from './values.js';

/** Where the bytes of a file's storages are. */
export interface Storages {
  /** The elements are big-endian. */
  readonly swap: boolean;
  /** All bytes of a storage; `tensor` is the name of the one that needs it. E_MALFORMED if it is not there. */
  open(key: string, tensor: string): Promise<ByteSource>;
}

/** A file that was opened: what its pickle describes, and where the bytes are. */
export interface Container {
  readonly value: PyValue;
  readonly meaning: TorchMeaning;
  readonly storages: Storages;
  readonly formatVersion: string;
  readonly findings: readonly Finding[];
}
