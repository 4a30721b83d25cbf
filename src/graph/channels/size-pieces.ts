import type { EditNode } from '../edit.js';
import { intOf } from '../opset/attributes.js';

/** One number of a list of sizes. */
export type SizePiece =
  /** Element `at` of a constant. */
  | { readonly kind: 'constant'; readonly value: number; readonly tensor: string; readonly at: number }
  /** The size of a value along an axis, as Shape tells it. */
  | { readonly kind: 'size'; readonly value: string; readonly axis: number }
  | { readonly kind: 'computed' };

export interface SizeSources {
  producer(value: string): EditNode | undefined;
  integers(value: string | undefined): readonly number[] | undefined;
  /** Of a value, as it was in a run. */
  shape(value: string | undefined): readonly number[] | undefined;
}

const COMPUTED: SizePiece = { kind: 'computed' };
/** Steps back through a graph; a broken one may run in circles. */
const MOST_STEPS = 32;

/**
 * What a list of sizes, the shape input of a Reshape say, is put together from: constants, sizes of other values, and
 * what else was computed. undefined where not even its length is known.
 */
export function sizePieces(
  value: string | undefined,
  sources: SizeSources,
  steps = MOST_STEPS,
): readonly SizePiece[] | undefined {
  if (value === undefined || value === '' || steps === 0) return undefined;
  const fixed = sources.integers(value);
  if (fixed) return fixed.map((number, at) => ({ kind: 'constant', value: number, tensor: value, at }));
  const node = sources.producer(value);
  if (!node || (node.domain ?? '') !== '') return undefined;
  const before = (index: number): readonly SizePiece[] | undefined =>
    sizePieces(node.input[index], sources, steps - 1);
  switch (node.opType) {
    case 'Cast':
    case 'Identity':
    case 'Squeeze':
    case 'Unsqueeze':
    case 'Reshape':
      return before(0);
    case 'Shape': {
      const rank = sources.shape(node.input[0])?.length;
      if (rank === undefined) return undefined;
      const axis = (name: string, otherwise: number): number => {
        const given = Number(intOf(node, name) ?? BigInt(otherwise));
        return Math.min(rank, Math.max(0, given < 0 ? given + rank : given));
      };
      const all = Array.from({ length: rank }, (_, i) => ({
        ...{ kind: 'size' as const, value: node.input[0] ?? '', axis: i },
      }));
      return all.slice(axis('start', 0), axis('end', rank));
    }
    case 'Gather': {
      const list = before(0);
      const places = sources.integers(node.input[1]);
      return list && places?.map((at) => picked(list[at < 0 ? at + list.length : at]));
    }
    case 'Slice': {
      const list = before(0);
      const [start] = sources.integers(node.input[1]) ?? [];
      const [end] = sources.integers(node.input[2]) ?? [];
      const [step] = node.input[4] ? (sources.integers(node.input[4]) ?? []) : [1];
      if (!list || start === undefined || end === undefined || step !== 1) return undefined;
      return list.slice(start, Math.min(end, list.length)).map(picked);
    }
    case 'Concat': {
      const lists = node.input.map((_, i) => before(i) ?? unknownOf(node.input[i], sources));
      return lists.every((list) => list !== undefined) ? lists.flat() : undefined;
    }
    default:
      return unknownOf(value, sources);
  }
}

/** Numbers that are computed somehow. */
function unknownOf(value: string | undefined, { shape }: SizeSources): readonly SizePiece[] | undefined {
  const sizes = shape(value);
  if (!sizes || sizes.length > 1) return undefined;
  return Array.from({ length: sizes[0] ?? 1 }, () => COMPUTED);
}

/** A constant that is picked out of a list counts as computed: nobody looks for it there to change it. */
const picked = (piece: SizePiece | undefined): SizePiece => (piece?.kind === 'size' ? piece : COMPUTED);
