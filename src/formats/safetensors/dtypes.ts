import type { DType } from '../../core/dtype.js';

/**
 * Names of element types in a safetensors header, one pair a type, in the order that the reference library gives
 * them (its error message for an unknown type lists it): a file is written with the last of them first.
 */
export const DTYPE_PAIRS = [
  ['BOOL', 'bool'],
  ['F4', 'f4_e2m1'],
  ['F6_E2M3', 'f6_e2m3'],
  ['F6_E3M2', 'f6_e3m2'],
  ['U8', 'u8'],
  ['I8', 'i8'],
  ['F8_E5M2', 'f8_e5m2'],
  ['F8_E4M3', 'f8_e4m3fn'],
  ['F8_E8M0', 'f8_e8m0'],
  ['F8_E4M3FNUZ', 'f8_e4m3fnuz'],
  ['F8_E5M2FNUZ', 'f8_e5m2fnuz'],
  ['I16', 'i16'],
  ['U16', 'u16'],
  ['F16', 'f16'],
  ['BF16', 'bf16'],
  ['I32', 'i32'],
  ['U32', 'u32'],
  ['F32', 'f32'],
  ['C64', 'c64'],
  ['F64', 'f64'],
  ['I64', 'i64'],
  ['U64', 'u64'],
] as const satisfies readonly (readonly [string, DType])[];

const byName = new Map<string, DType>(DTYPE_PAIRS);
const byType = new Map<DType, { readonly name: string; readonly rank: number }>(
  DTYPE_PAIRS.map(([name, dtype], rank) => [dtype, { name, rank }]),
);

export const SAFETENSORS_DTYPES: ReadonlySet<DType> = new Set(byType.keys());

/** Exact case; undefined for a name that the format does not have. */
export const dtypeNamed = (name: string): DType | undefined => byName.get(name);
/** Header name and place in the writing order; undefined if safetensors cannot store the type. */
export const storedAs = (dtype: DType): { readonly name: string; readonly rank: number } | undefined =>
  byType.get(dtype);
