import { type DType, dtypeFacts } from '../../core/dtype.js';
import type { TensorSource } from '../../core/tensor.js';
import { onnxTypeOf } from '../../formats/onnx/dtypes.js';
import { encoded } from '../../kernels/quantize/codes.js';
import type { AttributeValue } from '../build.js';
import type { EditNode, GraphEdit } from '../edit.js';
import type { Weight } from './weights.js';

/** A table that is only looked up, as codes. */
export interface CodedRows {
  /** Packed in rows that fill bytes, low bits first: u8, u4 or u2 in the shape of the table. */
  readonly codes: TensorSource;
  /** What codes stand for; those past the end do not occur. */
  readonly levels: ArrayLike<number>;
  /** Type of the stored levels. */
  readonly dtype: DType;
  /** Values are multiplied with a scale for each block of a row. */
  readonly scales?: {
    readonly block: number;
    readonly dtype: DType;
    /** Canonical bytes, row by row. */
    readonly bytes: Uint8Array;
    /** Name of the table of what scales are codes of themselves. */
    readonly powers?: string;
  };
}

/** Rows that can be looked up by themselves: they fill bytes and whole blocks, and have more codes than there are bytes. */
export const hasRows = (
  { op, shared, shape: [height = 0, width = 0] }: Weight,
  bits: number,
  block = 1,
): boolean =>
  op === 'Gather' &&
  !shared &&
  (width * bits) % 8 === 0 &&
  width % block === 0 &&
  (bits === 8 || (height * width * bits) / 8 >= (256 * 8 * 4) / bits);

/**
 * Gather takes codes, and only the rows that were asked for become values: a table that is decoded as a whole would be as
 * large in memory as it was. No runtime gathers elements of less than a byte, so a byte of codes is looked up at once, in a
 * table of what its codes stand for. Bytes stored in the table's place.
 */
export function lookUpRows(edit: GraphEdit, { name, nodes, shape }: Weight, rows: CodedRows): number {
  const { codes, levels, dtype, scales } = rows;
  const [height = 0, width = 0] = shape;
  const { bits } = dtypeFacts(codes.info.dtype);
  const perByte = 8 / bits;
  const values = perByte === 1 ? Float64Array.from(levels) : byBytes(levels, bits);
  const table = encoded(dtype, values);
  const packed = { ...codes, info: { name, dtype: 'u8' as const, shape: [height, width / perByte] } };
  const stored = {
    codes: edit.add(`${name}_codes`, packed),
    table: edit.addBytes(`${name}_levels`, dtype, perByte === 1 ? [levels.length] : [256, perByte], table),
    ...(perByte > 1 || scales ? { row: shapeOf(edit, `${name}_row`, [width]) } : {}),
    ...(scales
      ? {
          blocks: shapeOf(edit, `${name}_blocks`, [width / scales.block, scales.block]),
          scales: edit.addBytes(
            `${name}_scales`,
            scales.dtype,
            [height, width / scales.block, 1],
            scales.bytes,
          ),
        }
      : {}),
  };
  const from = edit.tensor(name)?.info.dtype ?? 'f32';
  const takers = new Set<EditNode>(nodes);
  edit.rewrite((node) => {
    if (!takers.has(node)) return undefined;
    const [, ids = ''] = node.input;
    const [output = ''] = node.output;
    const made = new Steps(edit, output);
    const gathered = (data: string): string => made.push({ ...node, input: [data, ids] }, 'Gather');
    const reshaped = (data: string, dims: string): string =>
      made.add('Reshape', [data, made.add('Concat', [made.add('Shape', [ids]), dims], { axis: 0n })]);
    let value = made.lookUp(stored.table, gathered(stored.codes));
    if (stored.scales !== undefined && stored.blocks !== undefined) {
      const scale = gathered(stored.scales);
      const factors = scales?.powers === undefined ? scale : made.lookUp(scales.powers, scale);
      value = made.add('Mul', [reshaped(value, stored.blocks), factors]);
    }
    if (stored.row !== undefined) value = reshaped(value, stored.row);
    if (dtype !== from) made.add('Cast', [value], { to: typeId(from) });
    return made.finish();
  });
  return codes.byteLength + table.length + (scales?.bytes.length ?? 0);
}

const typeId = (dtype: DType): bigint => BigInt(onnxTypeOf(dtype)?.id ?? 0);

const shapeOf = (edit: GraphEdit, name: string, sizes: readonly number[]): string =>
  edit.addBytes(name, 'i64', [sizes.length], new Uint8Array(BigInt64Array.from(sizes, BigInt).buffer));

/** For every byte, what its codes stand for. */
function byBytes(levels: ArrayLike<number>, bits: number): Float64Array {
  const perByte = 8 / bits;
  return Float64Array.from({ length: 256 * perByte }, (_, i) => {
    const byte = Math.floor(i / perByte);
    return levels[(byte >> ((i % perByte) * bits)) & (2 ** bits - 1)] ?? 0;
  });
}

/** Nodes one after the other; the last one makes the output. */
class Steps {
  readonly #nodes: EditNode[] = [];
  readonly #edit: GraphEdit;
  readonly #output: string;

  constructor(edit: GraphEdit, output: string) {
    this.#edit = edit;
    this.#output = output;
  }

  add(op: string, inputs: readonly string[], attributes: Record<string, AttributeValue> = {}): string {
    return this.push(this.#edit.make({ op, name: '', inputs, outputs: [''], attributes }), op);
  }

  /** Values of a table by codes. */
  lookUp(table: string, codes: string): string {
    return this.add('Gather', [table, this.add('Cast', [codes], { to: typeId('i32') })], { axis: 0n });
  }

  /** Gives the name of its output. */
  push(node: EditNode, what: string): string {
    const output = this.#edit.fresh(`${this.#output}_${what}`);
    this.#nodes.push({ ...node, name: this.#edit.fresh(`${this.#output}/${what}`), output: [output] });
    return output;
  }

  finish(): EditNode[] {
    const last = this.#nodes.pop();
    return last ? [...this.#nodes, { ...last, output: [this.#output] }] : [];
  }
}
