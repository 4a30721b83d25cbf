// CRC-32 without a carry-less multiplication, which WebAssembly lacks.
//
// A message is a polynomial over GF(2) and its CRC the remainder modulo P(x) of degree 32. With y = x^8, a step of a byte,
// y^4018 + y^2091 + y^1837 + 1 is a multiple of P (found by meeting in the middle over the powers of y), so a byte may be
// taken out and added 1927, 2181 and 4018 bytes further on instead: nothing but XORs, 64 bytes at a time, until 4018
// bytes are left, whose remainder is the same. There is a shorter multiple of four terms (3006), whose nearest step of 140
// bytes would wait for stores that have not reached the cache yet.
// The idea is that of S. Russell, "Chorba: A novel CRC32 implementation" (2024), arXiv:2412.16398.

const NEAR: usize = 1927;
const MIDDLE: usize = 2181;
const FAR: usize = 4018;
/** Room for FAR bytes in front. */
const FRONT: usize = 4096;
/** Bytes between two moves of the last FAR bytes to the front: all of it stays in the first-level cache. */
const PIECE: usize = 16384;

// @ts-ignore: decorators are AssemblyScript's
@inline function fold(src: usize, to: usize): void {
  const sum = v128.xor(
    v128.xor(v128.load(src), v128.load(to - NEAR)),
    v128.xor(v128.load(to - MIDDLE), v128.load(to - FAR)),
  );
  v128.store(to, sum);
}

/**
 * Folds `bytes` bytes, a multiple of 64 and at least FAR, into 4018 that have the same remainder; says where they lie. `register`: the
 * CRC's inverted value so far. `work`: 20 KiB.
 */
export function crcFold(src: usize, bytes: usize, register: u32, work: usize): usize {
  const front = work + FRONT;
  memory.fill(work, 0, FRONT);
  store<u32>(front - FAR, register);
  let done: usize = 0;
  let piece: usize = 0;
  while (true) {
    piece = min(PIECE, bytes - done);
    for (let at: usize = 0; at < piece; at += 64) {
      const from = src + done + at;
      const to = front + at;
      fold(from, to);
      fold(from + 16, to + 16);
      fold(from + 32, to + 32);
      fold(from + 48, to + 48);
    }
    done += piece;
    if (done >= bytes) break;
    memory.copy(work, front + piece - FRONT, FRONT);
  }
  // What lies in the last FAR bytes can't be taken out, and is not to be added further on: back to front, as each step needs
  // what the kernel left.
  const left = front + piece - FAR;
  for (let at = FAR - 1; at >= NEAR; at--) {
    let byte = load<u8>(left + at) ^ load<u8>(left + at - NEAR);
    if (at >= MIDDLE) byte ^= load<u8>(left + at - MIDDLE);
    store<u8>(left + at, byte);
  }
  return left;
}
