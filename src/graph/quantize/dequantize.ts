import { dtypeFacts } from '../../core/dtype.js';
import type { AffineSpec, AffineTensor } from '../../kernels/quantize/affine.js';
import type { EditNode, GraphEdit } from '../edit.js';
import type { Weight } from './weights.js';

/** Operator set in which DequantizeLinear takes integers like these (docs/Changelog.md: 10, 13, 19, 21, 25). */
export function opsetFor({ dtype, axis, block, scaleType }: AffineSpec): number {
  const { bits } = dtypeFacts(dtype);
  if (bits === 2) return 25;
  if (bits === 4 || bits === 16 || block !== undefined) return 21;
  if (scaleType === 'f16') return 19;
  return axis === undefined ? 10 : 13;
}

interface Stored {
  /** Integers, scales and, where they are not all zero, zero points. */
  readonly inputs: readonly string[];
}

/** Integers, scales and zero points as initializers, named as other tools name them. */
export function store(edit: GraphEdit, name: string, { codes, ...rest }: AffineTensor): Stored {
  const { shape, scaleType, scale, zeroPoint } = rest;
  return {
    inputs: [
      edit.add(`${name}_quantized`, codes),
      edit.addBytes(`${name}_scale`, scaleType, shape, scale),
      ...(zeroPoint ? [edit.addBytes(`${name}_zero_point`, codes.info.dtype, shape, zeroPoint)] : []),
    ],
  };
}

const attributesOf = ({ axis, block }: AffineSpec): Record<string, bigint> => ({
  ...(axis === undefined ? {} : { axis: BigInt(axis) }),
  ...(block === undefined ? {} : { block_size: BigInt(block) }),
});

/** The weight is made by a DequantizeLinear node, under its own name. */
export function dequantizeInFront(
  edit: GraphEdit,
  { name }: Weight,
  tensor: AffineTensor,
  spec: AffineSpec,
): void {
  const { inputs } = store(edit, name, tensor);
  edit.drop(name);
  edit.prepend([
    edit.make({
      op: 'DequantizeLinear',
      name: edit.fresh(`${name}_DequantizeLinear`),
      inputs,
      outputs: [name],
      attributes: attributesOf(spec),
    }),
  ]);
}

/** A table that is only looked up: integers are gathered, and only the rows that were asked for are dequantized. */
export function dequantizeGathered(
  edit: GraphEdit,
  { name, nodes }: Weight,
  tensor: AffineTensor,
  spec: AffineSpec,
): void {
  const {
    inputs: [table = '', ...rest],
  } = store(edit, name, tensor);
  const takers = new Set<EditNode>(nodes);
  edit.rewrite((node) => {
    const [, ids = ''] = node.input;
    const [output = ''] = node.output;
    if (!takers.has(node)) return undefined;
    const rows = edit.fresh(`${output}_quantized`);
    return [
      { ...node, input: [table, ids], output: [rows] },
      edit.make({
        op: 'DequantizeLinear',
        name: edit.fresh(`${output}_DequantizeLinear`),
        inputs: [rows, ...rest],
        outputs: [output],
        // Rows have more dimensions than the table; the last one is the same.
        attributes: spec.axis === undefined ? {} : { axis: -1n },
      }),
    ];
  });
}
