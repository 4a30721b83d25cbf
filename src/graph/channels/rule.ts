import type { EditNode } from '../edit.js';
import type { LinkEnd } from './positions.js';
import type { SizePiece } from './size-pieces.js';

/** A node, seen from an axis of one of its inputs or outputs that channels are to be taken out of. */
export interface Entry {
  readonly node: EditNode;
  readonly side: 'input' | 'output';
  /** Which of the inputs or outputs. */
  readonly index: number;
  readonly value: string;
  readonly axis: number;
}

/** What rules know of the graph. */
export interface Surroundings {
  /** Version of the standard operators. */
  readonly opset: number;
  /** Sizes as they were in one run; undefined for what is not there. */
  shape(value: string | undefined): readonly number[] | undefined;
  /** Integers of a small constant. */
  integers(value: string | undefined): readonly number[] | undefined;
  /** What a list of sizes is put together from. */
  sizes(value: string | undefined): readonly SizePiece[] | undefined;
  /** Sets of the positions of an axis in the group that is being followed. */
  sets(value: string, axis: number): readonly number[] | undefined;
}

/** What taking channels out of the axis means for the other inputs and outputs. */
export type Outcome =
  | {
      /** Axes whose positions hang together with those of the entry. */
      readonly links: readonly (readonly LinkEnd[])[];
      /** Why the node computes something else even where the channels that go are zero. */
      readonly inexact?: string;
    }
  | { readonly stop: string };

export type Rule = (entry: Entry, around: Surroundings) => Outcome;

export const stop = (reason: string): Outcome => ({ stop: reason });

/** One link, its ends in order. */
export const linked = (...ends: readonly (LinkEnd | undefined)[]): Outcome => ({
  links: [ends.flatMap((end) => end ?? [])],
});

/** Nothing else is touched. */
export const ENDS: Outcome = { links: [] };

export const describe = ({ opType, name }: EditNode): string =>
  name ? `${opType ?? ''} ${JSON.stringify(name)}` : (opType ?? '');

export const inputAt = (node: EditNode, index: number): string | undefined => node.input[index] || undefined;
export const outputAt = (node: EditNode, index = 0): string => node.output[index] ?? '';

/** An axis counted from the end, if it is negative. */
export const fromFront = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);
