import type { TensorInfo } from '../../core/tensor.js';
import { descrOf } from './dtypes.js';

/** Data begins at a multiple of this. */
const ALIGN = 64;
/** Digits that numpy leaves room for, so that the first dimension can grow in place. */
const GROWTH_DIGITS = 21;

/** The npy 1.0 header of a C-order array, as numpy 2 writes it. The type must be one of numpy's. */
export function encodeHeader({ dtype, shape }: TensorInfo): Uint8Array {
  const descr = descrOf(dtype);
  if (descr === undefined) throw new Error(`numpy has no ${dtype}`);
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`;
  let text = `{'descr': '${descr}', 'fortran_order': False, 'shape': ${tuple}, }`;
  if (shape.length > 0) text += ' '.repeat(GROWTH_DIGITS - String(shape[0]).length);
  const total = Math.ceil((10 + text.length + 1) / ALIGN) * ALIGN;
  text = `${text.padEnd(total - 11)}\n`;
  const bytes = Buffer.alloc(total);
  bytes.write('\x93NUMPY\x01\x00', 'latin1');
  bytes.writeUInt16LE(text.length, 8);
  bytes.write(text, 10, 'latin1');
  return bytes;
}
