import { MlserError } from '../errors.js';

/** How the bits of one element are read. `block` types (GGML) have no element of their own. */
export type DTypeKind = 'float' | 'int' | 'uint' | 'bool' | 'complex' | 'string' | 'block';

export interface DTypeFacts {
  readonly kind: DTypeKind;
  /** Bits per element; for block types bits per block. 0 for strings, whose size is not fixed. */
  readonly bits: number;
  /** Elements per block, 1 except for block types. */
  readonly block: number;
}

const fact = (kind: DTypeKind, bits: number): DTypeFacts => ({ kind, bits, block: 1 });
/** GGML block type: `block` elements in `bytes` bytes (ggml-common.h). */
const ggml = (block: number, bytes: number): DTypeFacts => ({ kind: 'block', bits: bytes * 8, block });

/** The one table of element types. Formats map their own names onto it, one pair a type. */
const TABLE = {
  f64: fact('float', 64),
  f32: fact('float', 32),
  f16: fact('float', 16),
  bf16: fact('float', 16),
  f8_e4m3fn: fact('float', 8),
  f8_e5m2: fact('float', 8),
  f8_e4m3fnuz: fact('float', 8),
  f8_e5m2fnuz: fact('float', 8),
  f8_e8m0: fact('float', 8),
  f6_e2m3: fact('float', 6),
  f6_e3m2: fact('float', 6),
  f4_e2m1: fact('float', 4),
  i64: fact('int', 64),
  i32: fact('int', 32),
  i16: fact('int', 16),
  i8: fact('int', 8),
  i4: fact('int', 4),
  i2: fact('int', 2),
  u64: fact('uint', 64),
  u32: fact('uint', 32),
  u16: fact('uint', 16),
  u8: fact('uint', 8),
  u4: fact('uint', 4),
  u2: fact('uint', 2),
  bool: fact('bool', 8),
  c32: fact('complex', 32),
  c64: fact('complex', 64),
  c128: fact('complex', 128),
  str: fact('string', 0),
  q4_0: ggml(32, 18),
  q4_1: ggml(32, 20),
  q5_0: ggml(32, 22),
  q5_1: ggml(32, 24),
  q8_0: ggml(32, 34),
  q8_1: ggml(32, 36),
  q2_k: ggml(256, 84),
  q3_k: ggml(256, 110),
  q4_k: ggml(256, 144),
  q5_k: ggml(256, 176),
  q6_k: ggml(256, 210),
  q8_k: ggml(256, 292),
  iq2_xxs: ggml(256, 66),
  iq2_xs: ggml(256, 74),
  iq3_xxs: ggml(256, 98),
  iq1_s: ggml(256, 50),
  iq4_nl: ggml(32, 18),
  iq3_s: ggml(256, 110),
  iq2_s: ggml(256, 82),
  iq4_xs: ggml(256, 136),
  iq1_m: ggml(256, 56),
  tq1_0: ggml(256, 54),
  tq2_0: ggml(256, 66),
  mxfp4: ggml(32, 17),
} as const satisfies Record<string, DTypeFacts>;

export type DType = keyof typeof TABLE;
export const DTYPES = Object.keys(TABLE) as readonly DType[];

export const isDType = (name: string): name is DType => Object.hasOwn(TABLE, name);
export const dtypeFacts = (dtype: DType): DTypeFacts => TABLE[dtype];
export const isFloat = (dtype: DType): boolean => TABLE[dtype].kind === 'float';
/** Bytes of one element where an element is whole bytes, else undefined. */
export const elementBytes = (dtype: DType): number | undefined => {
  const { bits, block } = dtypeFacts(dtype);
  return block === 1 && bits > 0 && bits % 8 === 0 ? bits / 8 : undefined;
};

/**
 * Product of the dimensions. E_MALFORMED where it passes 2^64 on the way (checked left to right, as the references
 * do: [2^40, 2^40, 0] overflows, [0, 2^40, 2^40] is empty) or ends above 2^53.
 */
export function elementCount(shape: readonly number[], what = 'tensor'): number {
  const overflow = (): MlserError =>
    new MlserError('E_MALFORMED', `${what}: shape [${shape.join(', ')}] overflows`, {
      details: { shape: [...shape] },
      hint: 'no file can hold that many elements: the header is damaged',
    });
  let count = 1;
  let wide: bigint | undefined; // exact while the product is above 2^53
  for (const dim of shape) {
    if (!Number.isSafeInteger(dim) || dim < 0)
      throw new MlserError('E_MALFORMED', `${what}: dimension ${dim} is not a count`, {
        details: { shape: [...shape] },
      });
    if (wide === undefined && Number.isSafeInteger(count * dim)) count *= dim;
    else {
      wide = (wide ?? BigInt(count)) * BigInt(dim);
      if (wide >= 1n << 64n) throw overflow();
    }
  }
  if (wide === undefined) return count;
  if (wide > BigInt(Number.MAX_SAFE_INTEGER)) throw overflow();
  return Number(wide);
}

/**
 * Bytes of a packed tensor. Sub-byte elements are packed without gaps and the last byte is filled up
 * (ONNX TensorProto, safetensors); block types need whole blocks along the last dimension.
 */
export function tensorBytes(dtype: DType, shape: readonly number[], what = 'tensor'): number {
  const { kind, bits, block } = dtypeFacts(dtype);
  if (kind === 'string')
    throw new MlserError('E_UNSUPPORTED', `${what}: strings have no fixed size`, { details: {} });
  const count = elementCount(shape, what);
  if (block > 1) {
    const row = shape.at(-1) ?? 1;
    if (row % block !== 0)
      throw new MlserError(
        'E_MALFORMED',
        `${what}: rows of ${row} elements do not fill ${dtype} blocks of ${block}`,
        { details: { dtype, shape: [...shape] } },
      );
    return checkedBytes((count / block) * (bits / 8), what);
  }
  return checkedBytes(bits >= 8 ? count * (bits / 8) : Math.ceil((count * bits) / 8), what);
}

function checkedBytes(bytes: number, what: string): number {
  if (!Number.isSafeInteger(bytes))
    throw new MlserError('E_MALFORMED', `${what}: size in bytes overflows`, { details: {} });
  return bytes;
}
