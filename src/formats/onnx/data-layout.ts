import type { DataFiles } from '../../core/format.js';
import type { TensorSource } from '../../core/tensor.js';
import type { FileRange } from './place-tensors.js';

/** Large tensors begin on a page, so that runtimes can map them (docs/ExternalData.md); others on a cache line. */
const PAGE_BYTES = 4096;
const LINE_BYTES = 64;
const MAPPED_BYTES = 1024 * 1024;

/**
 * Where tensors lie in data files, by name, in the order of the model. Tied tensors share their place. A file that
 * would pass what it may hold ends before the tensor; one that is larger by itself has a file of its own.
 */
export function layOut(
  tensors: readonly TensorSource[],
  aliases: ReadonlyMap<string, string>,
  files: DataFiles,
): Map<string, FileRange> {
  const places = new Map<string, FileRange>();
  let index = 0;
  let end = 0;
  for (const { info, byteLength } of tensors) {
    if (aliases.has(info.name)) continue;
    const align = byteLength >= MAPPED_BYTES ? PAGE_BYTES : LINE_BYTES;
    let offset = Math.ceil(end / align) * align;
    if (offset > 0 && offset + byteLength > files.bytes) {
      index++;
      offset = 0;
    }
    places.set(info.name, { file: files.name(index), offset });
    end = offset + byteLength;
  }
  for (const { info } of tensors) {
    const shared = places.get(aliases.get(info.name) ?? '');
    if (shared !== undefined) places.set(info.name, shared);
  }
  return places;
}
