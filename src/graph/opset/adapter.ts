import type { DType } from '../../core/dtype.js';
import type { NodeProto } from '../../formats/onnx/schema.js';
import type { NodeDescription } from '../build.js';
import type { Constant } from './constant-value.js';

/** Why a node cannot be had in another version. */
export interface Blocked {
  readonly blocked: string;
}
export const blocked = (why: string): Blocked => ({ blocked: why });

/** The nodes that take the place of one, in the order of computation: valid in the version that is moved to. */
export type Outcome = readonly NodeProto[] | Blocked;

/** Numbers of a new constant; integers of 64 bits are bigints. */
export type ConstantNumbers = readonly number[] | readonly bigint[];

/** What an adapter may ask about the values around a node, and what it may make. */
export interface AdaptContext {
  /** The version that changed the operator. */
  readonly version: number;
  /** Element type, or `sequence`, `optional`; undefined if it is not known. */
  type(name: string | undefined): string | undefined;
  /** Dimensions, undefined where not known. */
  shape(name: string | undefined): readonly (number | undefined)[] | undefined;
  /** The value of a name that never changes and is small; undefined for all others. */
  constant(name: string | undefined): Promise<Constant | undefined>;
  /** The name of a new constant. Equal ones are shared. */
  make(dtype: DType, shape: readonly number[], values: ConstantNumbers, hint: string): string;
  /** A name that nothing has yet, for a value that new nodes hand on. */
  fresh(hint: string, type?: string): string;
  /** A new node, named after the one it stands for. */
  node(description: Omit<NodeDescription, 'name'>): NodeProto;
  /** Tells what had to be taken for granted. */
  assume(what: string): void;
}

export type Adapt = (node: NodeProto, context: AdaptContext) => Outcome | Promise<Outcome>;

/** A change of an operator, both ways. Without a way the node stays as it is. */
export interface Adapter {
  readonly up?: Adapt;
  readonly down?: Adapt;
}

/** Adapters of a family of operators, by `Operator@version`. */
export type Adapters = Readonly<Record<string, Adapter>>;
