import type { TensorSource } from '../../core/tensor.js';
import type { GraphProto, NodeProto, TensorProto } from '../../formats/onnx/schema.js';
import type { Scope } from '../opset/scope.js';
import type { Signature } from './half-operators.js';

/** What a node is to the conversion. */
export type Kind =
  /** A standard operator, or one of onnxruntime's, whose types are known. */
  | 'operator'
  /** It gives f32 out of another type. */
  | 'cast-in'
  /** It makes another type of f32. */
  | 'cast-out'
  /** Constant, ConstantOfShape. */
  | 'constant'
  /** If, Loop, Scan: types of its results are those of its sub-graphs. */
  | 'border'
  /** Left as it is, in f32. */
  | 'fixed';

/** An f32 value that a node takes. */
export interface Use {
  readonly site: Site;
  readonly index: number;
}

/** A node, in the graph that it stands in. */
export class Site {
  readonly inner: Frame[] = [];
  /** f32 values by the place of the input or output; others are undefined. */
  readonly inputs: (Value | undefined)[] = [];
  readonly outputs: (Value | undefined)[] = [];
  /** Computes in half. */
  half: boolean = false;
  /** For borders: what goes through them. */
  readonly wires: Wire[] = [];

  constructor(
    readonly node: NodeProto,
    readonly index: number,
    readonly frame: Frame,
    readonly operator: string,
    readonly kind: Kind,
    readonly signature: Signature | undefined,
  ) {}

  get label(): string {
    return this.node.name || `${this.node.opType ?? 'node'}_${this.index}`;
  }
}

/** A place where values enter or leave sub-graphs: all its ends have one type. */
export interface Wire {
  /** Place among the inputs and outputs of the node. */
  readonly input?: number;
  readonly output?: number;
  /** Values of sub-graphs that it feeds. */
  readonly entries: readonly Value[];
  /** Results of sub-graphs: the frame and their place. */
  readonly exits: readonly { readonly frame: Frame; readonly index: number }[];
  /** The type of an end is not known: nothing can change. */
  readonly isPinned: boolean;
  half: boolean;
}

/** A value that is f32 in the source. */
export class Value {
  readonly uses: Use[] = [];
  /** Wires that it leaves its sub-graph through. */
  readonly exits: Wire[] = [];
  /** It is a result of the main graph. */
  isOutput: boolean = false;
  /** It comes from outside as f32 (false) or half (true); undefined: whoever makes it decides. */
  promised: boolean | undefined;
  /** The type in which it is made. */
  half: boolean = false;
  /** It is kept exactly in f32, whoever takes it. */
  kept: boolean = false;
  /** Over samples it was seen past what half holds. */
  exceeds: boolean = false;
  /** What a constant becomes in half. */
  fit: Fit = 'fits';
  /** The value of a constant with one element. */
  scalar: number | undefined;

  constructor(
    readonly name: string,
    readonly frame: Frame,
    readonly maker: Site | undefined,
    readonly shape: readonly (number | undefined)[] | undefined,
    /** Bytes of an initializer, a Constant, the filling of a ConstantOfShape. */
    readonly tensor?: TensorSource,
    readonly message?: TensorProto,
  ) {}
}

/**
 * A constant in half: rounded; clamped to the largest number (`mask`); or not there, since values would become
 * infinite (`large`) or all of them zero (`tiny`).
 */
export type Fit = 'fits' | 'mask' | 'large' | 'tiny';

/** A graph with its values. */
export class Frame {
  readonly sites: Site[] = [];
  readonly values = new Map<string, Value>();
  /** All names of the graph, f32 or not. */
  readonly names = new Set<string>();

  constructor(
    readonly graph: GraphProto,
    readonly scope: Scope,
    readonly outer: Frame | undefined,
    readonly owner: Site | undefined,
  ) {}

  find(name: string): Value | undefined {
    if (name === '') return undefined;
    return this.values.get(name) ?? (this.names.has(name) ? undefined : this.outer?.find(name));
  }
}

/** Sites of a graph and of those inside, in the order of computing. */
export function* sitesOf(frame: Frame): Generator<Site> {
  for (const site of frame.sites) {
    for (const inner of site.inner) yield* sitesOf(inner);
    yield site;
  }
}

export function* framesOf(frame: Frame): Generator<Frame> {
  yield frame;
  for (const site of frame.sites) for (const inner of site.inner) yield* framesOf(inner);
}
