import type { Recipe } from '../../core/recipe.js';
import type { ByteRange, TensorSource } from '../../core/tensor.js';
import { isPrunedType, widthOf } from './keys.js';
import { type Axis, groupsAfter, groupsBefore, type Pattern, prunePattern } from './pattern-groups.js';

export type { Axis, Pattern };

/** Elements that blocks of a pipeline begin on multiples of. */
const ALIGNED = 64;

/**
 * The tensor with zeros in place of all but the `keep` largest elements of every group, by absolute value; of equal ones
 * the first go. Groups begin anew with every row; one that is cut short by the end of its row keeps as many. NaN and
 * infinity are the largest. Bytes are computed when they are pulled.
 */
export function patterned(tensor: TensorSource, axis: Axis, pattern: Pattern): TensorSource {
  const { info, byteLength, role, recipe } = tensor;
  const { keep, of } = pattern;
  if (!isPrunedType(info.dtype)) throw new Error(`${info.name} is ${info.dtype}`);
  const width = widthOf(info.dtype);
  const aligned = axis.stride === 1 && axis.length % of === 0 && ALIGNED % of === 0;
  return {
    info,
    byteLength,
    ...(role === undefined ? {} : { role }),
    ...(recipe && (aligned || isPulledInParts(recipe))
      ? {
          recipe: {
            ...recipe,
            ops: [...recipe.ops, { op: 'pattern', width, keep, of, ...(aligned ? {} : { along: axis }) }],
          },
        }
      : {}),
    stream: (range = { start: 0, end: byteLength }) => streamPatterned(tensor, width, axis, pattern, range),
  };
}

/** Bytes may be pulled twice, where blocks cut groups: not if they are summed up, or cut groups of another pattern. */
const isPulledInParts = ({ crc32, ops }: Recipe): boolean =>
  crc32 === undefined && ops.every((op) => op.op !== 'pattern' || op.along === undefined);

/** Slabs of whole groups: `of` elements, or as many rows, fewer at the end of the axis. */
async function* streamPatterned(
  tensor: TensorSource,
  width: 2 | 4 | 8,
  axis: Axis,
  pattern: Pattern,
  range: ByteRange,
): AsyncGenerator<Uint8Array> {
  const before = (at: number): number => groupsBefore(at, axis, pattern);
  const after = (at: number): number => groupsAfter(at, axis, pattern);
  const total = tensor.byteLength / width;
  if (range.start >= range.end) return;
  const first = before(Math.floor(range.start / width));
  const last = Math.min(total, after(Math.ceil(range.end / width) - 1));
  let skip = range.start - first * width;
  let left = range.end - range.start;
  let at = first;
  let kept = new Uint8Array(0);
  for await (const chunk of tensor.stream({ start: first * width, end: last * width })) {
    const bytes = kept.length === 0 ? new Uint8Array(chunk) : new Uint8Array(Buffer.concat([kept, chunk]));
    const end = at + Math.floor(bytes.length / width);
    const whole = end >= last ? last : before(end);
    kept = bytes.slice((whole - at) * width);
    if (whole <= at) continue;
    const done = bytes.subarray(0, (whole - at) * width);
    prunePattern(done, width, at, axis, pattern);
    at = whole;
    const part = done.subarray(skip, skip + left);
    skip = 0;
    left -= part.length;
    if (part.length > 0) yield part;
  }
}
