import { type DType, dtypeFacts } from '../../core/dtype.js';
import { onnxTypeOf } from '../../formats/onnx/dtypes.js';
import {
  type BlockFloat,
  type BlockFloatTensor,
  powerCodes,
  powersOf,
} from '../../kernels/quantize/block-floats.js';
import { type ChannelGranularity, ChannelGroups } from '../../kernels/quantize/channel-groups.js';
import { encoded } from '../../kernels/quantize/codes.js';
import { type PaletteTensor, tableRows } from '../../kernels/quantize/palette.js';
import type { AttributeValue } from '../build.js';
import type { EditNode, GraphEdit } from '../edit.js';
import { hasRows, lookUpRows } from './lookup-rows.js';
import type { Weight } from './weights.js';

/** Operator set from which Cast takes codes of a type (docs/Changelog.md: Cast-21, -25). */
export const castOpset = (codes: 'u8' | 'u4' | 'u2'): number =>
  codes === 'u2' ? 25 : codes === 'u4' ? 21 : 13;

const typeId = (dtype: DType): bigint => BigInt(onnxTypeOf(dtype)?.id ?? 0);

/** Nodes that make a weight from what is stored, one after the other. */
class Recipe {
  readonly nodes: EditNode[] = [];
  readonly #edit: GraphEdit;
  readonly #name: string;

  constructor(edit: GraphEdit, name: string) {
    this.#edit = edit;
    this.#name = name;
  }

  /** A node with one output; gives the name of that. */
  add(op: string, inputs: readonly string[], attributes: Record<string, AttributeValue> = {}): string {
    const output = this.#edit.fresh(`${this.#name}_${op}`);
    const name = this.#edit.fresh(`${this.#name}/${op}`);
    this.nodes.push(this.#edit.make({ op, name, inputs, outputs: [output], attributes }));
    return output;
  }

  /** Values of a table by codes. */
  lookUp(table: string, codes: string): string {
    return this.add('Gather', [table, this.add('Cast', [codes], { to: typeId('i32') })], { axis: 0n });
  }

  integers(what: string, values: readonly number[]): string {
    const bytes = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
    return this.#edit.addBytes(`${this.#name}_${what}`, 'i64', [values.length], bytes);
  }

  /** The last value takes the place of the weight. */
  finish(): void {
    const last = this.nodes.pop();
    if (!last) return;
    this.#edit.drop(this.#name);
    this.#edit.prepend([...this.nodes, { ...last, output: [this.#name] }]);
  }
}

/** What `lookUpPalette` stores, about. */
export const paletteBytes = (
  { codes, tables }: PaletteTensor,
  dtype: DType,
  { axis, shape }: { readonly axis?: number; readonly shape: readonly number[] },
): number => {
  const { values } = tableRows(tables);
  const offsets = tables.length > 1 && axis !== undefined ? (shape[axis] ?? 0) * 4 : 0;
  return codes.byteLength + (values.length * dtypeFacts(dtype).bits) / 8 + offsets;
};

/**
 * The weight is looked up in tables of its own, which lie one behind the other: codes of a channel are moved on to the
 * table of its group. Bytes stored in its place.
 */
export function lookUpPalette(
  edit: GraphEdit,
  weight: Weight,
  { codes, tables }: PaletteTensor,
  { axis, block }: ChannelGranularity,
): number {
  const { name, shape } = weight;
  const dtype = edit.tensor(name)?.info.dtype ?? 'f32';
  const { width, values } = tableRows(tables);
  if (tables.length === 1 && hasRows(weight, dtypeFacts(codes.info.dtype).bits))
    return lookUpRows(edit, weight, { codes, levels: values, dtype });
  const bytes = encoded(dtype, values);
  const table = edit.addBytes(`${name}_palette`, dtype, [values.length], bytes);
  const stored = edit.add(`${name}_codes`, codes);
  const recipe = new Recipe(edit, name);
  let places = recipe.add('Cast', [stored], { to: typeId('i32') });
  let more = 0;
  if (tables.length > 1 && axis !== undefined) {
    const groups = new ChannelGroups(shape, { axis, ...(block === undefined ? {} : { block }) });
    const offsets = Int32Array.from(groups.ofChannels(), (group) => group * width);
    const dims = shape.map((size, i) => (i === axis ? size : 1));
    more = offsets.byteLength;
    const moved = edit.addBytes(`${name}_tables`, 'i32', dims, new Uint8Array(offsets.buffer));
    places = recipe.add('Add', [places, moved]);
  }
  recipe.add('Gather', [table, places], { axis: 0n });
  recipe.finish();
  return codes.byteLength + bytes.length + more;
}

/** The weight is looked up and multiplied with the scales of its blocks. Bytes stored in its place. */
export function lookUpBlocks(
  edit: GraphEdit,
  weight: Weight,
  { codes, scales }: BlockFloatTensor,
  format: BlockFloat,
  tables: Tables,
): number {
  const { name, shape } = weight;
  const { block, levels } = format;
  const isPower = format.id === 'mxfp4';
  const stored = isPower ? powerCodes(scales) : encoded('f32', Float64Array.from(scales));
  if (hasRows(weight, 4, block)) {
    const powers = isPower ? { powers: tables.powers() } : {};
    const rows = { block, dtype: isPower ? ('u8' as const) : ('f32' as const), bytes: stored, ...powers };
    return lookUpRows(edit, weight, { codes, levels, dtype: 'f32', scales: rows });
  }
  const dtype = edit.tensor(name)?.info.dtype ?? 'f32';
  const count = shape.reduce((product, size) => product * size, 1);
  const recipe = new Recipe(edit, name);
  let values = recipe.lookUp(tables.levels(), edit.add(`${name}_codes`, codes));
  const missing = scales.length * block - count;
  if (missing > 0) {
    const flat = recipe.add('Reshape', [values, tables.integers('flat', [-1])]);
    values = recipe.add('Pad', [flat, recipe.integers('pads', [0, missing])]);
  }
  const rows = recipe.add('Reshape', [values, tables.integers('blocks', [-1, block])]);
  const kept = edit.addBytes(`${name}_scales`, isPower ? 'u8' : 'f32', [scales.length, 1], stored);
  const factors = isPower ? recipe.lookUp(tables.powers(), kept) : kept;
  let product = recipe.add('Mul', [rows, factors]);
  if (missing > 0) {
    const flat = recipe.add('Reshape', [product, tables.integers('flat', [-1])]);
    product = recipe.add('Slice', [flat, tables.integers('begin', [0]), recipe.integers('end', [count])]);
  }
  const whole = recipe.add('Reshape', [product, recipe.integers('shape', shape)]);
  if (dtype !== 'f32') recipe.add('Cast', [whole], { to: typeId(dtype) });
  recipe.finish();
  return codes.byteLength + stored.length;
}

/** Constants that all weights of a graph share. */
export class Tables {
  readonly #edit: GraphEdit;
  readonly #format: BlockFloat;
  readonly #made = new Map<string, string>();

  constructor(edit: GraphEdit, format: BlockFloat) {
    this.#edit = edit;
    this.#format = format;
  }

  /** The 16 values. */
  levels(): string {
    return this.#once(`${this.#format.id}_levels`, (name) => {
      const bytes = encoded('f32', Float64Array.from(this.#format.levels));
      return this.#edit.addBytes(name, 'f32', [this.#format.levels.length], bytes);
    });
  }

  /** Value of every E8M0 code. */
  powers(): string {
    return this.#once('e8m0_powers', (name) => {
      const powers = powersOf(Array.from({ length: 256 }, (_, code) => code));
      return this.#edit.addBytes(name, 'f32', [256], encoded('f32', Float64Array.from(powers)));
    });
  }

  integers(what: string, values: readonly number[]): string {
    return this.#once(`${this.#format.id}_${what}`, (name) => {
      const bytes = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
      return this.#edit.addBytes(name, 'i64', [values.length], bytes);
    });
  }

  #once(wanted: string, make: (wanted: string) => string): string {
    const known = this.#made.get(wanted) ?? make(wanted);
    this.#made.set(wanted, known);
    return known;
  }
}
