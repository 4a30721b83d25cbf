import { DTYPES } from '../../core/dtype.js';
import type { FormatDescriptor } from '../../core/format.js';
import { isDamagedMagic } from './layout.js';

/** The native checkpoint: every type, training state, provenance, checksums (README.md beside this file). */
export const mlck: FormatDescriptor = {
  id: 'mlck',
  title: 'native checkpoint',
  extensions: ['.mlck'],
  dtypes: new Set(DTYPES),
  keeps: { metadata: true, aliases: true, training: true, graph: false },
  sniff: (head, name) => (isDamagedMagic(head) ? (name.toLowerCase().endsWith('.mlck') ? 1 : 0) : 3),
  reader: async () => (await import('./reader.js')).reader,
  writer: async () => (await import('./writer.js')).writer,
};
