import { dtypeFacts, elementCount } from '../core/dtype.js';
import type { Coded, KernelOp } from '../core/recipe.js';
import type { TensorSource } from '../core/tensor.js';
import type { Crc32Check } from '../io/crc32.js';
import { sha256 } from '../io/hashing.js';
import { isNumeric } from './elements.js';
import { Pipeline } from './pipeline.js';
import { BLOCK_ELEMENTS } from './tasks.js';

/**
 * A recipe in elements: how a thread pulls any range of a tensor by itself. Elements are those of the tensor's type;
 * where these are no numbers, they are bytes. Plain data, sent to workers.
 */
export interface Program {
  /** Name of the tensor, for messages. */
  readonly tensor: string;
  readonly path: string;
  readonly offset: number;
  readonly ops: readonly KernelOp[];
  /** Bits of an element in the file. */
  readonly inBits: number;
  readonly count: number;
  /** Sum that the raw bytes must have. */
  readonly crc32?: Crc32Check;
  /** The raw bytes are unfolded from chunks. */
  readonly coded?: Coded;
}

/** The same text for what is the same: plain data, whose magnitudes are large integers, and arrays of numbers. */
export const keyText = (what: unknown): string =>
  JSON.stringify(what, (_, value: unknown) => {
    if (typeof value === 'bigint') return `${value}n`;
    if (!ArrayBuffer.isView(value)) return value;
    return Buffer.from(sha256(Buffer.from(value.buffer, value.byteOffset, value.byteLength))).toString('hex');
  });

/** Of an element in front of a step that changes it. */
const bitsBefore = (op: KernelOp): number[] =>
  op.op === 'cast' ? [dtypeFacts(op.from).bits] : op.op === 'decode' ? [op.decoding.bits] : [];

/** The program of a tensor, or undefined if it has to be streamed. */
export function programOf(tensor: TensorSource): Program | undefined {
  const { recipe, info } = tensor;
  if (!recipe) return undefined;
  const elements = isNumeric(info.dtype);
  const inBits = recipe.ops.flatMap(bitsBefore)[0] ?? (elements ? dtypeFacts(info.dtype).bits : 8);
  const count = elements ? elementCount(info.shape, info.name) : tensor.byteLength;
  const { path, offset, ops } = recipe;
  const program: Program = {
    ...{ tensor: info.name, path, offset, ops, inBits, count },
    ...(recipe.crc32 === undefined ? {} : { crc32: recipe.crc32 }),
    ...(recipe.coded === undefined ? {} : { coded: recipe.coded }),
  };
  const pipeline = new Pipeline(ops, inBits);
  const fits =
    pipeline.inBytes(0, count) === recipe.length && pipeline.outBytes(0, count) === tensor.byteLength;
  // Whole groups around a block have to fit a slot.
  return fits && (!pipeline.pullsMore || pipeline.blockElements >= BLOCK_ELEMENTS) ? program : undefined;
}
