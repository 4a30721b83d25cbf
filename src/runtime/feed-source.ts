import { dtypeFacts, elementBytes, elementCount } from '../core/dtype.js';
import { LIMITS } from '../core/limits.js';
import type { TensorSource } from '../core/tensor.js';
import { MlserError } from '../errors.js';
import { decodeElements, encodeElements, isNumeric } from '../kernels/elements.js';
import { type ArrayFile, matchNames, missingArrays } from './arrays.js';
import {
  dtypeOf,
  isFloatType,
  toNumbers,
  type Value,
  type ValueInfo,
  type Values,
  viewAs,
} from './values.js';

/** A run over rows [start, start + count) of the samples, filled up to `size` rows where the graph fixes its batch. */
export interface Slice {
  readonly start: number;
  readonly count: number;
  readonly size: number;
}

/** Where feeds come from: made up (one slice), or a file whose first axis may be the samples. */
export interface FeedSource {
  /** undefined: everything is run at once, and the first axis means nothing. */
  readonly slices: readonly Slice[] | undefined;
  /** Rows of a file whose first axis may be the samples. */
  readonly samples?: number;
  load(slice: Slice | undefined): Promise<Values>;
}

/** Samples in one run of a graph that takes any number. */
export const SAMPLES_PER_RUN = 64;

export const fixedFeeds = (values: Values): FeedSource => ({ slices: undefined, load: async () => values });

/** The same feeds for a graph whose inputs have other float types: rounded to them. */
export function withFloatsOf(feeds: FeedSource, inputs: readonly ValueInfo[]): FeedSource {
  const types = new Map(inputs.map(({ name, type }) => [name, type]));
  return {
    ...feeds,
    load: async (slice) =>
      new Map(
        [...(await feeds.load(slice))].map(
          ([name, value]) => [name, asFloat(value, types.get(name))] as const,
        ),
      ),
  };
}

function asFloat(value: Value, type: Value['type'] | undefined): Value {
  if (type === undefined || type === value.type || !isFloatType(type) || !isFloatType(value.type))
    return value;
  const to = dtypeOf(type);
  const numbers = Float64Array.from(toNumbers(value));
  const bytes = new Uint8Array(numbers.length * (elementBytes(to) ?? 0));
  encodeElements(to, numbers, numbers.length, bytes);
  return { type, dims: value.dims, data: viewAs(type, bytes) };
}

/** Feeds from a file, matched by name and checked. E_USAGE names what was expected and what was found. */
export function feedsFromFile(
  file: ArrayFile,
  inputs: readonly ValueInfo[],
  samplesPerRun = SAMPLES_PER_RUN,
): FeedSource {
  const arrays = matchNames(
    inputs.map((input) => input.name),
    file.arrays,
  );
  const missing = inputs.filter((input) => !arrays.has(input.name)).map((input) => input.name);
  if (missing.length > 0) throw missingArrays(file, 'input', missing);
  const bound = inputs.flatMap((input) => {
    const array = arrays.get(input.name);
    return array ? [{ input, array }] : [];
  });
  for (const { input, array } of bound) checkFeed(file.name, input, array);
  const axis = samplesOf(bound);
  const slices = planSlices(axis, samplesPerRun);
  for (const { input, array } of bound) checkSize(file.name, input, array, slices);
  return {
    slices,
    ...(axis ? { samples: axis.samples } : {}),
    load: async (slice) =>
      new Map(
        await Promise.all(
          bound.map(
            async ({ input, array }) => [input.name, await loadRows(file.name, input, array, slice)] as const,
          ),
        ),
      ),
  };
}

interface Bound {
  readonly input: ValueInfo;
  readonly array: TensorSource;
}

const mismatch = (file: string, input: ValueInfo, array: TensorSource, why: string): MlserError =>
  new MlserError(
    'E_USAGE',
    `${file}: input ${JSON.stringify(input.name)} needs ${input.type ?? 'something that is not a tensor'} ` +
      `[${(input.shape ?? ['?']).map((dim) => dim ?? '?').join(', ')}], the array is ${array.info.dtype} ` +
      `[${array.info.shape.join(', ')}]: ${why}`,
    {
      details: { file, input: input.name, needed: input.type ?? 'not a tensor', found: array.info.dtype },
      hint: 'save the array with the type and shape that the graph takes',
    },
  );

function checkFeed(file: string, input: ValueInfo, array: TensorSource): void {
  const { type, shape } = input;
  if (type === undefined || type === 'string')
    throw mismatch(file, input, array, 'such inputs cannot be given in a file');
  if (array.info.dtype !== dtypeOf(type) && !isNumeric(array.info.dtype))
    throw mismatch(file, input, array, 'its elements are not numbers');
  if (shape === undefined) return;
  const found = array.info.shape;
  if (shape.length !== found.length) throw mismatch(file, input, array, 'the rank differs');
  // The first axis may be the samples; the others are as the graph says.
  if (shape.some((dim, axis) => axis > 0 && typeof dim === 'number' && dim !== found[axis]))
    throw mismatch(file, input, array, 'a dimension differs');
}

function checkSize(
  file: string,
  input: ValueInfo,
  array: TensorSource,
  slices: readonly Slice[] | undefined,
): void {
  const rows = array.info.shape[0] ?? 1;
  const first = array.byteLength === 0 || !slices ? 1 : (slices[0]?.size ?? 1) / Math.max(1, rows);
  if (array.byteLength * first > LIMITS.FEED_BYTES)
    throw new MlserError(
      'E_LIMIT',
      `${file}: ${JSON.stringify(input.name)} is larger than FEED_BYTES in one run`,
      {
        details: { file, input: input.name, limit: 'FEED_BYTES', bytes: array.byteLength },
        hint: 'give fewer samples',
      },
    );
}

/** How many samples there are, and how many the graph takes at once, if the first axis of all inputs may be theirs. */
function samplesOf(bound: readonly Bound[]): { samples: number; batch: number | undefined } | undefined {
  const rows = new Set(bound.map(({ array }) => array.info.shape[0]));
  const [samples] = rows;
  if (rows.size !== 1 || samples === undefined || samples === 0) return undefined;
  const firsts = bound.map(({ input }) => input.shape?.[0] ?? null);
  const fixed = new Set(firsts.filter((dim) => typeof dim === 'number'));
  const [batch] = fixed;
  if (fixed.size > 1 || (batch !== undefined && batch < 1)) return undefined;
  const steps = firsts.some((dim) => typeof dim === 'string' && /seq|time|len|frame|step/i.test(dim));
  return batch === undefined && steps ? undefined : { samples, batch };
}

/** Batches over the samples where all inputs share a first axis that can be cut; else everything at once. */
function planSlices(axis: ReturnType<typeof samplesOf>, samplesPerRun: number): readonly Slice[] | undefined {
  if (!axis) return undefined;
  const { samples, batch } = axis;
  if (batch !== undefined) return batch === samples ? undefined : cut(samples, batch, batch);
  return samples <= samplesPerRun ? undefined : cut(samples, samplesPerRun, undefined);
}

function cut(samples: number, batch: number, size: number | undefined): Slice[] {
  const slices: Slice[] = [];
  for (let start = 0; start < samples; start += batch) {
    const count = Math.min(batch, samples - start);
    slices.push({ start, count, size: size ?? count });
  }
  return slices;
}

async function loadRows(
  file: string,
  input: ValueInfo,
  array: TensorSource,
  slice: Slice | undefined,
): Promise<Value> {
  const { dtype, shape } = array.info;
  const rows = shape[0] ?? 1;
  const rowBytes = slice ? array.byteLength / rows : 0;
  const dims = slice ? [slice.size, ...shape.slice(1)] : shape;
  const bytes = new Uint8Array(slice ? rowBytes * slice.size : array.byteLength);
  const range = slice
    ? { start: slice.start * rowBytes, end: (slice.start + slice.count) * rowBytes }
    : { start: 0, end: array.byteLength };
  let at = 0;
  for await (const chunk of array.stream(range)) {
    bytes.set(chunk, at);
    at += chunk.byteLength;
  }
  // A fixed batch is filled up with its last sample.
  if (slice) for (; at < bytes.byteLength; at += rowBytes) bytes.copyWithin(at, at - rowBytes, at);
  const { type } = input;
  if (type === undefined || type === 'string') throw new Error(`${input.name} was not checked`);
  const wanted = dtypeOf(type);
  const same = dtype === wanted;
  const converted = same ? bytes : convertExactly(file, input, array, bytes, elementCount(dims));
  return { type, dims, data: viewAs(type, converted) };
}

/** Other number types are taken where every value stays what it is. */
function convertExactly(
  file: string,
  input: ValueInfo,
  array: TensorSource,
  bytes: Uint8Array,
  count: number,
): Uint8Array {
  const { type } = input;
  if (type === undefined || type === 'string') throw new Error(`${input.name} was not checked`);
  const from = array.info.dtype;
  const to = dtypeOf(type);
  const values = new Float64Array(count);
  decodeElements(from, bytes, count, values);
  const out = new Uint8Array(count * (elementBytes(to) ?? 0));
  encodeElements(to, values, count, out);
  const back = new Float64Array(count);
  decodeElements(to, out, count, back);
  const wide = dtypeFacts(from).bits === 64 && dtypeFacts(from).kind !== 'float';
  const changed = values.some(
    (value, i) => !Object.is(value, back[i]) && !(value === 0 && back[i] === 0) && !Number.isNaN(value),
  );
  const rounded = wide && values.some((value) => !Number.isSafeInteger(value));
  if (changed || rounded) throw mismatch(file, input, array, `${to} cannot hold its values exactly`);
  return out;
}

/** Keeps what a filled-up batch really holds: rows of an output that belong to `slice.count` samples. */
export function trim(value: Value, slice: Slice | undefined): Value {
  const rows = value.dims[0];
  if (!slice || slice.count === slice.size || rows === undefined || rows % slice.size !== 0) return value;
  const kept = (rows / slice.size) * slice.count;
  const elements = elementCount(value.dims.slice(1)) * kept;
  return { ...value, dims: [kept, ...value.dims.slice(1)], data: value.data.slice(0, elements) };
}
