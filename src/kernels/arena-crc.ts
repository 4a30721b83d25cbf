import { crc32 } from '../io/crc32.js';
import { arena } from './wasm.js';

/** What `crcFold` leaves, whose CRC-32 is that of all. */
const LEFT_BYTES = 4018;
/** Less is not worth folding. */
const LEAST_BYTES = 16 << 10;
/** The CRC-32 of nothing whose register is zero. */
const ZERO_REGISTER = 0xffffffff;

/**
 * CRC-32 (ISO 3309), continuing from `seed`. Bytes in this thread's arena are folded by a kernel first: 16 GB/s where
 * Node's own CRC-32 does 4.7.
 */
export function arenaCrc32(bytes: Uint8Array, seed = 0): number {
  if (bytes.byteLength < LEAST_BYTES) return crc32(bytes, seed);
  const { kernels, buffer, crcWork } = arena();
  if (bytes.buffer !== buffer) return crc32(bytes, seed);
  const whole = bytes.byteLength - (bytes.byteLength % 64);
  const left = kernels.crcFold(bytes.byteOffset, whole, ~seed, crcWork);
  const sum = crc32(new Uint8Array(buffer, left, LEFT_BYTES), ZERO_REGISTER);
  return whole === bytes.byteLength ? sum : crc32(bytes.subarray(whole), sum);
}
