import type { DType } from '../../core/dtype.js';

/** numpy's type strings (array interface protocol: kind and size in bytes), one pair a type. */
export const DTYPE_PAIRS = [
  ['b1', 'bool'],
  ['i1', 'i8'],
  ['i2', 'i16'],
  ['i4', 'i32'],
  ['i8', 'i64'],
  ['u1', 'u8'],
  ['u2', 'u16'],
  ['u4', 'u32'],
  ['u8', 'u64'],
  ['f2', 'f16'],
  ['f4', 'f32'],
  ['f8', 'f64'],
  ['c8', 'c64'],
  ['c16', 'c128'],
] as const satisfies readonly (readonly [string, DType])[];

const byCode = new Map<string, DType>(DTYPE_PAIRS);
const byType = new Map<DType, string>(DTYPE_PAIRS.map(([code, dtype]) => [dtype, code]));

export const NUMPY_DTYPES: ReadonlySet<DType> = new Set(byType.keys());

/** Other spellings that numpy takes: names, and one-letter codes whose size is the same everywhere. */
const SPELLINGS = new Map<string, DType>([
  ...(['bool', 'i8', 'i16', 'i32', 'i64', 'u8', 'u16', 'u32', 'u64'] as const).map(
    (dtype) => [dtype.replace(/^i/, 'int').replace(/^u/, 'uint'), dtype] as const,
  ),
  ['float16', 'f16'],
  ['float32', 'f32'],
  ['float64', 'f64'],
  ['complex64', 'c64'],
  ['complex128', 'c128'],
  ['?', 'bool'],
  ['b', 'i8'],
  ['h', 'i16'],
  ['i', 'i32'],
  ['q', 'i64'],
  ['B', 'u8'],
  ['H', 'u16'],
  ['I', 'u32'],
  ['Q', 'u64'],
  ['e', 'f16'],
  ['f', 'f32'],
  ['d', 'f64'],
  ['F', 'c64'],
  ['D', 'c128'],
]);

/** Kinds that are no numbers, by the letter of their type string. */
const KINDS = new Map([
  ['S', 'byte strings'],
  ['a', 'byte strings'],
  ['U', 'strings'],
  ['T', 'strings'],
  ['M', 'dates (datetime64)'],
  ['m', 'time spans (timedelta64)'],
  ['V', 'raw bytes (void)'],
]);

export type Described =
  | { readonly is: 'number'; readonly dtype: DType; readonly bigEndian: boolean; readonly lost?: boolean }
  /** Needs unpickling. */
  | { readonly is: 'object' }
  /** Well-formed, but no tensor; what it is. */
  | { readonly is: 'other'; readonly what: string }
  | { readonly is: 'nothing' };

/**
 * What a type string describes. `|V1` and `|V2` are what numpy writes for the 8- and 16-bit floats of ml_dtypes:
 * which one is lost, so they are integers of that size (`lost`).
 */
export function describe(descr: string): Described {
  const [, order = '', code = ''] = /^([<>=|]?)(.*)$/s.exec(descr) ?? [];
  const dtype = byCode.get(code) ?? SPELLINGS.get(code);
  if (dtype) return { is: 'number', dtype, bigEndian: order === '>' };
  if (code === 'V1') return { is: 'number', dtype: 'u8', bigEndian: false, lost: true };
  if (code === 'V2') return { is: 'number', dtype: 'u16', bigEndian: order === '>', lost: true };
  if (/^(O\d*|object)$/.test(code)) return { is: 'object' };
  if (/^(f(10|12|16)|c(20|24|32)|g|G|longdouble)$/.test(code))
    return { is: 'other', what: 'extended precision floats, whose layout depends on the machine' };
  if (/^[lLpPnN]$/.test(code)) return { is: 'other', what: 'integers whose size depends on the machine' };
  const kind = /^[SaUTMmV](\d*)(\[.*\])?$/.test(code) ? KINDS.get(code[0] ?? '') : undefined;
  if (kind) return { is: 'other', what: kind };
  return { is: 'nothing' };
}

/** Type string for writing; undefined if numpy has no such type. */
export function descrOf(dtype: DType): string | undefined {
  const code = byType.get(dtype);
  return code === undefined ? undefined : `${code.endsWith('1') ? '|' : '<'}${code}`;
}
