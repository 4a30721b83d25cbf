/**
 * The state of a training run beside its weights: a typed tree that keeps what a pickle, a native checkpoint or
 * JSON can hold, exactly (integers are bigints, dict keys keep their type and order). Tensors are referred to by
 * their flattened name in `Model.tensors`.
 */
export type StateNode =
  | { readonly kind: 'none' }
  | { readonly kind: 'bool'; readonly value: boolean }
  | { readonly kind: 'int'; readonly value: bigint }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'complex'; readonly re: number; readonly im: number }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'bytes'; readonly value: Uint8Array }
  | { readonly kind: 'list' | 'tuple' | 'set'; readonly items: readonly StateNode[] }
  /** `ordered`: a collections.OrderedDict rather than a dict. */
  | {
      readonly kind: 'dict';
      readonly ordered: boolean;
      readonly entries: readonly (readonly [StateNode, StateNode])[];
    }
  | {
      readonly kind: 'tensor';
      readonly name: string;
      readonly parameter?: boolean;
      readonly requiresGrad?: boolean;
    }
  /** Something a pickle names that we keep as data: a dtype, a device, a size, or an object of an unknown class. */
  | { readonly kind: 'opaque'; readonly type: string; readonly text: string };

export interface TrainingState {
  /** The whole checkpoint as it was nested, tensors by reference. */
  readonly tree: StateNode;
  readonly step?: number;
  readonly epoch?: number;
  readonly loss?: number;
  readonly learningRate?: number;
  /** Name or kind of the optimizer where the file tells. */
  readonly optimizer?: string;
}

/** True if the tree holds more than how the tensors were nested: numbers, texts, anything that is lost without it. */
export function holdsValues(node: StateNode): boolean {
  switch (node.kind) {
    case 'tensor':
      return false;
    case 'list':
    case 'tuple':
    case 'set':
      return node.items.some(holdsValues);
    case 'dict':
      return node.entries.some(([, value]) => holdsValues(value));
    default:
      return true;
  }
}
