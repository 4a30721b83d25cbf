import type { DType } from '../../core/dtype.js';

/**
 * How torch stores an element type.
 * `storage`: the class name of its typed storage, for the types that have one; the newer ones are saved as an
 * untyped storage plus the name of the type.
 */
interface TorchType {
  /** As in `torch.<name>`. */
  readonly torch: string;
  readonly dtype: DType;
  readonly storage?: string;
  /** Values per stored element: `float4_e2m1fn_x2` packs two into a byte. */
  readonly packed?: 2;
}

/** Types that are read and written, a line each; the order is of no meaning. */
const TYPES: readonly TorchType[] = [
  { torch: 'float64', dtype: 'f64', storage: 'DoubleStorage' },
  { torch: 'float32', dtype: 'f32', storage: 'FloatStorage' },
  { torch: 'float16', dtype: 'f16', storage: 'HalfStorage' },
  { torch: 'bfloat16', dtype: 'bf16', storage: 'BFloat16Storage' },
  { torch: 'int64', dtype: 'i64', storage: 'LongStorage' },
  { torch: 'int32', dtype: 'i32', storage: 'IntStorage' },
  { torch: 'int16', dtype: 'i16', storage: 'ShortStorage' },
  { torch: 'int8', dtype: 'i8', storage: 'CharStorage' },
  { torch: 'uint8', dtype: 'u8', storage: 'ByteStorage' },
  { torch: 'bool', dtype: 'bool', storage: 'BoolStorage' },
  { torch: 'complex64', dtype: 'c64', storage: 'ComplexFloatStorage' },
  { torch: 'complex128', dtype: 'c128', storage: 'ComplexDoubleStorage' },
  { torch: 'complex32', dtype: 'c32' },
  { torch: 'uint16', dtype: 'u16' },
  { torch: 'uint32', dtype: 'u32' },
  { torch: 'uint64', dtype: 'u64' },
  { torch: 'float8_e4m3fn', dtype: 'f8_e4m3fn' },
  { torch: 'float8_e5m2', dtype: 'f8_e5m2' },
  { torch: 'float8_e4m3fnuz', dtype: 'f8_e4m3fnuz' },
  { torch: 'float8_e5m2fnuz', dtype: 'f8_e5m2fnuz' },
  { torch: 'float8_e8m0fnu', dtype: 'f8_e8m0' },
  { torch: 'float4_e2m1fn_x2', dtype: 'f4_e2m1', packed: 2 },
];

/** Quantized types are read as the integers they store; scale and zero point travel as metadata. */
const QUANTIZED: readonly TorchType[] = [
  { torch: 'qint8', dtype: 'i8', storage: 'QInt8Storage' },
  { torch: 'quint8', dtype: 'u8', storage: 'QUInt8Storage' },
  { torch: 'qint32', dtype: 'i32', storage: 'QInt32Storage' },
];

/** Other spellings of `torch.<name>` that a pickle may hold. */
const ALIASES: ReadonlyMap<string, string> = new Map([
  ['double', 'float64'],
  ['float', 'float32'],
  ['half', 'float16'],
  ['long', 'int64'],
  ['int', 'int32'],
  ['short', 'int16'],
  ['cfloat', 'complex64'],
  ['cdouble', 'complex128'],
  ['chalf', 'complex32'],
]);

/** Types that torch names but that hold nothing we can read: they may appear as plain values. */
const NAMED_ONLY: readonly string[] = [
  'quint4x2',
  'quint2x4',
  'bits1x8',
  'bits2x4',
  'bits4x2',
  'bits8',
  'bits16',
  ...[1, 2, 3, 4, 5, 6, 7].flatMap((n) => [`int${n}`, `uint${n}`]),
];

const byTorchName = new Map([...TYPES, ...QUANTIZED].map((type) => [type.torch, type]));
const byStorage = new Map(
  [...TYPES, ...QUANTIZED].flatMap((type) => (type.storage === undefined ? [] : [[type.storage, type]])),
);
const byDType = new Map(TYPES.map((type) => [type.dtype, type]));

/** An element type as a pickle names it. */
export interface TorchDType {
  readonly torch: string;
  /** Absent where we cannot read its elements. */
  readonly dtype?: DType;
  readonly packed?: 2;
}

/** The type behind `torch.<name>`, undefined if that is not an element type. */
export function torchDType(name: string): TorchDType | undefined {
  const canonical = ALIASES.get(name) ?? name;
  return byTorchName.get(canonical) ?? (NAMED_ONLY.includes(canonical) ? { torch: canonical } : undefined);
}

/** The element type of a typed storage class (`FloatStorage`), undefined for unknown classes. */
export const storageDType = (className: string): TorchDType | undefined => byStorage.get(className);

/** How the writer stores a type, undefined where torch has none. */
export const torchTypeOf = (dtype: DType): TorchType | undefined => byDType.get(dtype);

/** Types that the writer can store. */
export const WRITABLE: ReadonlySet<DType> = new Set(TYPES.map((type) => type.dtype));
