import type { ProfiledValue } from '../../runtime/protocol.js';

/** Bits of an element, by the runtime's name of the type in its profiles. Text is not counted. */
const BITS: Readonly<Record<string, number>> = {
  ...{ float: 32, double: 64, float16: 16, bfloat16: 16 },
  ...{ float8e4m3fn: 8, float8e4m3fnuz: 8, float8e5m2: 8, float8e5m2fnuz: 8 },
  ...{ int8: 8, uint8: 8, bool: 8, int16: 16, uint16: 16, int32: 32, uint32: 32, int64: 64, uint64: 64 },
  ...{ int4: 4, uint4: 4, int2: 2, uint2: 2 },
};

/** Elements of a shape, or of a part of it. */
export const elements = (shape: readonly number[]): number =>
  shape.reduce((product, size) => product * size, 1);

export const bytesOf = ([type, shape]: ProfiledValue): number =>
  Math.ceil((elements(shape) * (BITS[type] ?? 0)) / 8);

export const shapeOf = (value: ProfiledValue | undefined): readonly number[] => value?.[1] ?? [];

export const shapeText = ([type, shape]: ProfiledValue): string => `${type} [${shape.join(', ')}]`;
