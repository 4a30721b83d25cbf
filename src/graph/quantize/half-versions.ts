import type { TensorSource } from '../../core/tensor.js';
import { onnxTypeOf } from '../../formats/onnx/dtypes.js';
import {
  create,
  type NodeProto,
  type SparseTensorProto,
  type TensorProto,
} from '../../formats/onnx/schema.js';
import { attributeProto, nodeProto } from '../build.js';
import type { FreshNames } from '../opset/constants-made.js';
import { halfTensor } from './half-constants.js';
import type { Half } from './half-operators.js';
import type { Frame, Site, Value } from './half-values.js';

/** Constants up to this size are there twice where both types are wanted; larger ones are cast as the model runs. */
const COPIED_BYTES = 1 << 20;
const FLOAT = 1;

/** What is added to a graph while it is written anew. */
interface Sheet {
  /** Before all nodes. */
  readonly front: NodeProto[];
  readonly after: Map<Site, NodeProto[]>;
  readonly initializers: TensorProto[];
  /** Values of other types that are the same as a half value. */
  readonly aliases: Map<string, string>;
}

/** The names of values in f32 and in half, and the casts between them: one for each value, where it is made. */
export class Versions {
  /** Tensors of initializers that are new or changed. */
  readonly made = new Map<TensorProto | SparseTensorProto, TensorSource>();
  /** Number of the half type in ONNX. */
  readonly type: number;
  casts = 0;
  readonly #half: Half;
  readonly #names: FreshNames;
  readonly #sheets = new Map<Frame, Sheet>();
  /** Names of values in the type that they are not made in. */
  readonly #others = new Map<Value, string>();
  /** Values that leave their name to a result of the graph. */
  readonly #renamed = new Map<Value, string>();
  readonly #results = new Set<string>();

  constructor(half: Half, names: FreshNames) {
    this.#half = half;
    this.type = onnxTypeOf(half)?.id ?? 0;
    this.#names = names;
  }

  open(frame: Frame): Sheet {
    const sheet: Sheet = { front: [], after: new Map(), initializers: [], aliases: new Map() };
    this.#sheets.set(frame, sheet);
    return sheet;
  }

  /** The value makes way for a result of the main graph, which has its name in the other type. */
  rename(value: Value): void {
    if (this.#renamed.has(value)) return;
    this.#results.add(value.name);
    this.#renamed.set(value, this.#fresh(value, value.half));
    this.#others.set(value, value.name);
    this.#convert(value, value.name);
  }
  isRenamed = (name: string): boolean => this.#results.has(name);

  /** The name of a value in the type that it is made in. */
  own = (value: Value): string => this.#renamed.get(value) ?? value.name;

  /** The name of a value in the wanted type. */
  named(value: Value, half: boolean): string {
    if (value.half === half) return this.own(value);
    const known = this.#others.get(value);
    if (known !== undefined) return known;
    const name = this.#fresh(value, half);
    this.#others.set(value, name);
    const { tensor, message } = value;
    const isFixed = !value.kept && value.promised === undefined;
    if (half && isFixed && message && tensor && tensor.byteLength <= COPIED_BYTES)
      this.#copy(value, name, tensor);
    else this.#convert(value, name);
    return name;
  }

  /** The name of a value of another type, in sight of a graph. */
  alias(frame: Frame, name: string): string {
    for (let at: Frame | undefined = frame; at; at = at.outer) {
      const alias = this.#sheets.get(at)?.aliases.get(name);
      if (alias !== undefined) return alias;
      if (at.names.has(name)) break;
    }
    return name;
  }

  setAlias(frame: Frame, name: string, same: string): void {
    this.#sheets.get(frame)?.aliases.set(name, same);
  }

  castNode(name: string, from: string, to: string, half: boolean): NodeProto {
    const attribute = [attributeProto('to', BigInt(half ? this.type : FLOAT))];
    return { ...nodeProto({ op: 'Cast', name, inputs: [from], outputs: [to] }, 0), attribute };
  }

  #fresh = ({ name }: Value, half: boolean): string =>
    this.#names.unique(`${name}_${half ? this.#half : 'f32'}`);

  #copy(value: Value, name: string, tensor: TensorSource): void {
    const { info, ...rest } = halfTensor(tensor, this.#half, value.fit);
    const message = create('TensorProto', { name, dims: info.shape.map(BigInt), dataType: this.type });
    this.made.set(message, { ...rest, info: { ...info, name } });
    this.#sheet(value).initializers.push(message);
  }

  /** A cast to the other type. What was cast from a third type is cast from there again, which loses nothing. */
  #convert(value: Value, to: string): void {
    const { maker } = value;
    const from =
      maker?.kind === 'cast-in' ? this.alias(maker.frame, maker.node.input[0] ?? '') : this.own(value);
    const node = this.castNode(this.#names.unique(`Cast_${to}`), from, to, !value.half);
    this.casts++;
    const { front, after } = this.#sheet(value);
    if (!maker) front.push(node);
    else after.set(maker, [...(after.get(maker) ?? []), node]);
  }

  #sheet(value: Value): Sheet {
    const sheet = this.#sheets.get(value.frame);
    if (!sheet) throw new Error(`${value.name}: its graph is not being written`);
    return sheet;
  }
}
