import { MlserError } from '../errors.js';
import { joinPlanes as joinPlain, type PlaneWidth, splitPlanes as splitPlain } from './reference/planes.js';
import { AREA_BYTES, arena } from './wasm.js';

export type { PlaneWidth } from './reference/planes.js';

/** See reference/planes.ts for the layout. `bytes` is a whole number of elements, of any size (fastest to 3 MiB). */
export function splitPlanes(bytes: Uint8Array, width: PlaneWidth): Uint8Array {
  return throughKernel(bytes, width, splitPlain, splitKernels);
}

/** The inverse of `splitPlanes`. */
export function joinPlanes(planes: Uint8Array, width: PlaneWidth): Uint8Array {
  return throughKernel(planes, width, joinPlain, joinKernels);
}

const splitKernels = { 2: 'splitPlanes2', 4: 'splitPlanes4', 8: 'splitPlanes8' } as const;
const joinKernels = { 2: 'joinPlanes2', 4: 'joinPlanes4', 8: 'joinPlanes8' } as const;

function throughKernel(
  bytes: Uint8Array,
  width: PlaneWidth,
  plain: (bytes: Uint8Array, width: PlaneWidth) => Uint8Array,
  names: typeof splitKernels | typeof joinKernels,
): Uint8Array {
  if (bytes.length % width !== 0)
    throw new MlserError('E_MALFORMED', `${bytes.length} bytes are no elements of ${width} bytes`);
  if (bytes.length > AREA_BYTES) return plain(bytes, width);
  const { kernels, areas } = arena();
  const [from, to] = areas;
  from.bytes.set(bytes);
  kernels[names[width]](from.at, to.at, bytes.length / width);
  return to.bytes.slice(0, bytes.length);
}
