import type { DType } from '../../core/dtype.js';
import { onnxTypeOf } from '../../formats/onnx/dtypes.js';
import type { BlockFloat, BlockFloatTensor } from '../../kernels/quantize/block-floats.js';
import { encoded } from '../../kernels/quantize/codes.js';
import type { PaletteTensor } from '../../kernels/quantize/palette.js';
import type { AttributeValue } from '../build.js';
import type { EditNode, GraphEdit } from '../edit.js';
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

/** The weight is looked up in a table of its own. Bytes stored in its place. */
export function lookUpPalette(edit: GraphEdit, { name }: Weight, { codes, table }: PaletteTensor): number {
  const dtype = edit.tensor(name)?.info.dtype ?? 'f32';
  const bytes = encoded(dtype, table);
  const recipe = new Recipe(edit, name);
  recipe.lookUp(
    edit.addBytes(`${name}_palette`, dtype, [table.length], bytes),
    edit.add(`${name}_codes`, codes),
  );
  recipe.finish();
  return codes.byteLength + bytes.length;
}

/** The weight is looked up and multiplied with the scales of its blocks. Bytes stored in its place. */
export function lookUpBlocks(
  edit: GraphEdit,
  { name, shape }: Weight,
  { codes, scales }: BlockFloatTensor,
  format: BlockFloat,
  tables: Tables,
): number {
  const { block } = format;
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
  const stored = format.id === 'mxfp4' ? exponents(scales) : encoded('f32', Float64Array.from(scales));
  const kept = edit.addBytes(
    `${name}_scales`,
    format.id === 'mxfp4' ? 'u8' : 'f32',
    [scales.length, 1],
    stored,
  );
  const factors = format.id === 'mxfp4' ? recipe.lookUp(tables.powers(), kept) : kept;
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

/** Powers of two as E8M0 codes. */
const exponents = (scales: Float32Array): Uint8Array => Uint8Array.from(scales, (s) => Math.log2(s) + 127);

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
      const values = Float64Array.from({ length: 256 }, (_, code) =>
        code === 255 ? Number.NaN : 2 ** (code - 127),
      );
      return this.#edit.addBytes(name, 'f32', [256], encoded('f32', values));
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
