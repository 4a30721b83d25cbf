import type { FormatDescriptor, SniffScore } from '../../core/format.js';
import { NUMPY_DTYPES } from './dtypes.js';

const keeps = { metadata: false, aliases: false, training: false, graph: false };
const latin = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');

/** A zip archive of NumPy arrays (numpy.savez). */
export const npz: FormatDescriptor = {
  id: 'npz',
  title: 'NumPy archive (npz)',
  extensions: ['.npz'],
  dtypes: NUMPY_DTYPES,
  keeps,
  sniff: sniffNpz,
  reader: async () => (await import('./npz-reader.js')).reader,
  writer: async () => (await import('./npz-writer.js')).writer,
};

/** One NumPy array (numpy.save). */
export const npy: FormatDescriptor = {
  id: 'npy',
  title: 'NumPy array (npy)',
  extensions: ['.npy'],
  dtypes: NUMPY_DTYPES,
  keeps,
  sniff: sniffNpy,
  reader: async () => (await import('./npy-reader.js')).reader,
  writer: async () => (await import('./npy-writer.js')).writer,
};

/** Zip archives of other formats begin alike: the name of the first entry tells. */
function sniffNpz(head: Uint8Array, name: string): SniffScore {
  const named = name.toLowerCase().endsWith('.npz');
  const magic = latin(head.subarray(0, 4));
  if (magic === 'PK\x03\x04' && head.byteLength >= 30) {
    const length = (head[26] ?? 0) | ((head[27] ?? 0) << 8);
    if (latin(head.subarray(30, 30 + length)).endsWith('.npy')) return 3;
  }
  const zip = magic === 'PK\x03\x04' || magic === 'PK\x05\x06'; // the latter: no entries
  return named ? (zip ? 2 : 1) : 0;
}

function sniffNpy(head: Uint8Array, name: string): SniffScore {
  if (latin(head.subarray(0, 6)) === '\x93NUMPY') return 3;
  return name.toLowerCase().endsWith('.npy') ? 1 : 0;
}
