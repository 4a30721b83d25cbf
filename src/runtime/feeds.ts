import { elementCount } from '../core/dtype.js';
import { LIMITS } from '../core/limits.js';
import { MlserError } from '../errors.js';
import { smallFloatEncoder } from '../kernels/small-floats.js';
import { DimResolver, type DimSizes } from './dims.js';
import { Random } from './random.js';
import {
  type Value,
  type ValueData,
  type ValueInfo,
  type Values,
  type ValueType,
  valueBytes,
} from './values.js';

export interface FeedOptions {
  readonly sizes: DimSizes;
  /** Input → how many rows the table has that it picks from. */
  readonly vocabulary?: ReadonlyMap<string, number>;
  /** Token ids where no vocabulary is known. */
  readonly tokens?: number;
  readonly seed?: number;
}

/**
 * Feeds made from input metadata with a fixed seed: ids in range, masks 1, positions increasing, floats N(0, 1).
 * E_UNSUPPORTED for inputs that cannot be made up (strings, sequences).
 */
export function generateFeeds(inputs: readonly ValueInfo[], options: FeedOptions): Values {
  const random = new Random(options.seed ?? 20_240_229);
  const dims = new DimResolver(options.sizes);
  return new Map(inputs.map((input) => [input.name, generate(input, dims.shapeOf(input), random, options)]));
}

function generate(input: ValueInfo, dims: readonly number[], random: Random, options: FeedOptions): Value {
  const { name, type } = input;
  if (type === undefined || type === 'string')
    throw new MlserError(
      'E_UNSUPPORTED',
      `input ${JSON.stringify(name)}: no feed can be made up for this type`,
      {
        details: { input: name, type: type ?? 'not a tensor' },
        hint: 'give feeds with --inputs feeds.npz, or use --validate weights',
      },
    );
  const count = elementCount(dims, name);
  if (count * valueBytes(type) > LIMITS.FEED_BYTES)
    throw new MlserError(
      'E_LIMIT',
      `input ${JSON.stringify(name)} [${dims.join(', ')}] is larger than FEED_BYTES (${LIMITS.FEED_BYTES})`,
      { details: { input: name, limit: 'FEED_BYTES', shape: [...dims] }, hint: 'use --validate weights' },
    );
  return { type, dims, data: fill(type, count, valuesFor(input, type, dims, random, options)) };
}

/** Hertz: what speech models are trained on. */
const SAMPLE_RATE = 16_000;

/** The value at a flat index. */
type Maker = (index: number) => number;

function valuesFor(
  { name }: ValueInfo,
  type: Exclude<ValueType, 'string'>,
  dims: readonly number[],
  random: Random,
  options: FeedOptions,
): Maker {
  if (type === 'bool') return () => 1;
  if (type.startsWith('float')) return /mask/i.test(name) ? () => 1 : () => random.normal();
  if (/mask/i.test(name)) return () => 1;
  const width = dims.at(-1) ?? 1;
  if (/position/i.test(name)) return (index) => index % width;
  if (/token_type|segment/i.test(name)) return () => 0;
  const rows = options.vocabulary?.get(name);
  if (rows !== undefined) return () => random.below(rows);
  if (/^sr$|sampl(e|ing)_?rate/i.test(name)) return () => SAMPLE_RATE;
  // A lone integer is a count, a length or a rate more often than an id.
  if (dims.length === 0) return () => 3;
  if (type === 'uint8') return () => random.below(256);
  if (type === 'int8') return () => random.below(256) - 128;
  return () => random.below(options.tokens ?? 16);
}

function fill(type: Exclude<ValueType, 'string'>, count: number, make: Maker): ValueData {
  const at = { length: count };
  const each = (_: unknown, index: number): number => make(index);
  switch (type) {
    case 'float32':
      return Float32Array.from(at, each);
    case 'float64':
      return Float64Array.from(at, each);
    case 'float16': {
      const encode = smallFloatEncoder('f16');
      return Uint16Array.from(at, (_, index) => encode(make(index)));
    }
    case 'int8':
      return Int8Array.from(at, each);
    case 'int16':
      return Int16Array.from(at, each);
    case 'int32':
      return Int32Array.from(at, each);
    case 'int64':
      return BigInt64Array.from(at, (_, index) => BigInt(make(index)));
    case 'uint8':
    case 'bool':
      return Uint8Array.from(at, each);
    case 'uint16':
      return Uint16Array.from(at, each);
    case 'uint32':
      return Uint32Array.from(at, each);
    case 'uint64':
      return BigUint64Array.from(at, (_, index) => BigInt(make(index)));
  }
}
