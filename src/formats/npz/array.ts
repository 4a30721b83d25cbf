import { rangeTensor, type TensorSource } from '../../core/tensor.js';
import { crc32 } from '../../io/crc32.js';
import type { ByteSource } from '../../io/source.js';
import { verifiedSource } from '../../io/verified.js';
import { stridedTensor } from '../../kernels/strided.js';
import type { ArrayHeader } from './header.js';

/** The tensor of an npy array in `source` (a file, or a member of an npz with its CRC-32). Nothing is read. */
export function arrayTensor(name: string, header: ArrayHeader, source: ByteSource): TensorSource {
  const { dtype, shape, dataOffset, byteLength, bigEndian, fortran } = header;
  const info = { name, dtype, shape };
  if (bigEndian || (fortran && shape.length > 1)) {
    const strides = fortran ? columnStrides(shape) : rowStrides(shape);
    return stridedTensor(info, source, { byteOffset: dataOffset, strides }, { swap: bigEndian });
  }
  const expect = source.crc32;
  if (expect === undefined) return rangeTensor(info, source, dataOffset);
  // The CRC covers header and data; with bytes after the data it cannot be told from the data alone.
  return dataOffset + byteLength === source.size
    ? rangeTensor(info, source, dataOffset, { crc32: { seed: crc32(header.raw), expect } })
    : rangeTensor(info, verifiedSource(source), dataOffset);
}

/** Strides in elements; products past 2^53 (only with an empty dimension elsewhere) do not matter. */
function columnStrides(shape: readonly number[]): number[] {
  let step = 1;
  return shape.map((dim) => {
    const stride = step;
    step *= dim;
    return stride;
  });
}

const rowStrides = (shape: readonly number[]): number[] => columnStrides(shape.toReversed()).reverse();
