/** XXH3-128: the formulas of short inputs and the end of long ones, in 64-bit arithmetic; seed 0. */

export const SECRET = new Uint8Array(
  Buffer.from(
    'b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221' +
      'b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8' +
      'a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb' +
      '170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e',
    'hex',
  ),
);

const P32_2 = 0x85ebca77n;
const P64_1 = 0x9e3779b185ebca87n;
const P64_2 = 0xc2b2ae3d27d4eb4fn;
const P64_3 = 0x165667b19e3779f9n;
const P64_4 = 0x85ebca77c2b2ae63n;

const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);
const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
export const read64 = (bytes: Uint8Array, at: number): bigint => view(bytes).getBigUint64(at, true);
const read32 = (bytes: Uint8Array, at: number): bigint => BigInt(view(bytes).getUint32(at, true));
const secret = (at: number): bigint => read64(SECRET, at);

const swap = (value: bigint, bytes: number): bigint => {
  let swapped = 0n;
  for (let i = 0; i < bytes; i++) swapped = (swapped << 8n) | ((value >> BigInt(8 * i)) & 0xffn);
  return swapped;
};
const fold = (a: bigint, b: bigint): bigint => {
  const product = a * b;
  return u64(product) ^ (product >> 64n);
};
const avalanche = (value: bigint): bigint => {
  value = u64((value ^ (value >> 37n)) * 0x165667919e3779f9n);
  return value ^ (value >> 32n);
};
const avalanche64 = (value: bigint): bigint => {
  value = u64((value ^ (value >> 33n)) * P64_2);
  value = u64((value ^ (value >> 29n)) * P64_3);
  return value ^ (value >> 32n);
};
const text = (high: bigint, low: bigint): string =>
  high.toString(16).padStart(16, '0') + low.toString(16).padStart(16, '0');

/** At most 240 bytes. */
export function shortXxh3(bytes: Uint8Array): string {
  const { length } = bytes;
  if (length > 16) return middle(bytes);
  if (length > 8) return upTo16(bytes);
  if (length > 3) return upTo8(bytes);
  if (length === 0) return text(avalanche64(secret(80) ^ secret(88)), avalanche64(secret(64) ^ secret(72)));
  const byte = (at: number): bigint => BigInt(bytes[at] ?? 0);
  const low = (byte(0) << 16n) | (byte(length >> 1) << 24n) | byte(length - 1) | (BigInt(length) << 8n);
  const swapped = swap(low, 4);
  const high = BigInt.asUintN(32, (swapped << 13n) | (swapped >> 19n));
  const flip = (at: number): bigint => read32(SECRET, at) ^ read32(SECRET, at + 4);
  return text(avalanche64(high ^ flip(8)), avalanche64(low ^ flip(0)));
}

function upTo8(bytes: Uint8Array): string {
  const { length } = bytes;
  const input = read32(bytes, 0) | (read32(bytes, length - 4) << 32n);
  const product = (input ^ secret(16) ^ secret(24)) * u64(P64_1 + BigInt(length * 4));
  let low = u64(product);
  const high = u64((product >> 64n) + (low << 1n));
  low ^= high >> 3n;
  low = u64((low ^ (low >> 35n)) * 0x9fb21c651e98df25n);
  return text(avalanche(high), low ^ (low >> 28n));
}

function upTo16(bytes: Uint8Array): string {
  const { length } = bytes;
  const first = read64(bytes, 0);
  const last = read64(bytes, length - 8);
  const product = (first ^ last ^ secret(32) ^ secret(40)) * P64_1;
  let low = u64(product + (BigInt(length - 1) << 54n));
  const flipped = last ^ secret(48) ^ secret(56);
  const high = u64((product >> 64n) + flipped + (flipped & 0xffffffffn) * (P32_2 - 1n));
  low ^= swap(high, 8);
  const end = low * P64_2;
  return text(avalanche(u64((end >> 64n) + high * P64_2)), avalanche(u64(end)));
}

/** 17 to 240 bytes: pieces of 16 from both sides, or in order. */
function middle(bytes: Uint8Array): string {
  const { length } = bytes;
  let low = u64(BigInt(length) * P64_1);
  let high = 0n;
  const mix16 = (at: number, key: number): bigint =>
    fold(read64(bytes, at) ^ secret(key), read64(bytes, at + 8) ^ secret(key + 8));
  const mix = (one: number, two: number, key: number): void => {
    low = u64(low + mix16(one, key)) ^ u64(read64(bytes, two) + read64(bytes, two + 8));
    high = u64(high + mix16(two, key + 16)) ^ u64(read64(bytes, one) + read64(bytes, one + 8));
  };
  if (length <= 128) {
    for (let side = Math.ceil(length / 32) - 1; side >= 0; side--)
      mix(side * 16, length - 16 - side * 16, side * 32);
  } else {
    for (let i = 0; i < 128; i += 32) mix(i, i + 16, i);
    low = avalanche(low);
    high = avalanche(high);
    for (let i = 160; i <= length; i += 32) mix(i - 32, i - 16, i - 157);
    mix(length - 16, length - 32, 103);
  }
  const end = avalanche(u64(low * P64_1 + high * P64_4 + BigInt(length) * P64_2));
  return text(u64(-end), avalanche(u64(low + high)));
}

/** The sums of a long input become its hash. */
export function finishXxh3(sums: readonly bigint[], length: bigint): string {
  const merge = (key: number, start: bigint): bigint => {
    let value = start;
    for (let i = 0; i < 8; i += 2)
      value += fold((sums[i] ?? 0n) ^ secret(key + i * 8), (sums[i + 1] ?? 0n) ^ secret(key + i * 8 + 8));
    return avalanche(u64(value));
  };
  return text(merge(SECRET.length - 75, u64(~(length * P64_2))), merge(11, u64(length * P64_1)));
}
