import type { FormatDescriptor } from '../../core/format.js';
import { WRITABLE } from './dtypes.js';
import { EXTENSIONS, sniff } from './sniff.js';

/** PyTorch checkpoints: zip archives, files from before torch 1.6, TorchScript weights, sharded `.bin` folders. */
export const pytorch: FormatDescriptor = {
  id: 'pytorch',
  title: 'PyTorch',
  extensions: EXTENSIONS,
  dtypes: WRITABLE,
  keeps: { metadata: false, aliases: true, training: true, graph: false },
  sniff,
  reader: async () => (await import('./reader.js')).reader,
  writer: async () => (await import('./writer.js')).writer,
};
