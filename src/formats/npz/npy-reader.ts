import type { ModelReader } from '../../core/format.js';
import { type Finding, finding } from '../../errors.js';
import type { ByteSource } from '../../io/source.js';
import { arrayTensor } from './array.js';
import { type ArrayHeader, hasMagic, readHeader } from './header.js';

/** An array in a file of its own has no name; this is the one it gets. */
export const ARRAY_NAME = 'array';

export const reader: ModelReader = {
  async read(files) {
    const source = await files.open(files.main);
    const head = (length: number): Promise<Uint8Array> => source.read(0, Math.min(length, source.size));
    const header = await readHeader(head, source.size, { file: source.name });
    return {
      format: 'npy',
      formatVersion: header.version,
      tensors: [arrayTensor(ARRAY_NAME, header, source)],
      aliases: new Map(),
      metadata: new Map(),
      findings: [...header.findings, ...(await trailing(source, header))],
    };
  },
};

/** numpy.save may append arrays to a file, and numpy.load reads the first. */
async function trailing(source: ByteSource, header: ArrayHeader): Promise<Finding[]> {
  const end = header.dataOffset + header.byteLength;
  const rest = source.size - end;
  if (rest === 0) return [];
  const more = hasMagic(await source.read(end, Math.min(6, rest)))
    ? 'another array follows'
    : `${rest} bytes follow`;
  return [
    finding(
      'warning',
      'NPY_TRAILING_BYTES',
      source.name,
      `${source.name}: ${more} the first array; only that is read`,
    ),
  ];
}
