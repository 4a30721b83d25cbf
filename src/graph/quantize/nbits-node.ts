import type { NBitsMatrix, NBitsSpec } from '../../kernels/quantize/matmul-nbits.js';
import type { EditNode, GraphEdit } from '../edit.js';
import type { Weight } from './weights.js';

const DOMAIN = 'com.microsoft';

/** MatMul nodes of a K × N weight become `com.microsoft::MatMulNBits`. */
export function multiplyNBits(
  edit: GraphEdit,
  { name, nodes, shape }: Weight,
  matrix: NBitsMatrix,
  { bits, block, scaleType = 'f32' }: NBitsSpec,
): void {
  const { packed, scales, zeroPoints } = matrix;
  const inputs = [
    edit.add(`${name}_Q${bits}`, packed),
    edit.addBytes(`${name}_scales`, scaleType, matrix.scaleShape, scales),
    ...(zeroPoints ? [edit.addBytes(`${name}_zero_points`, 'u8', matrix.zeroShape, zeroPoints)] : []),
  ];
  const [k = 0, n = 0] = shape;
  const takers = new Set<EditNode>(nodes);
  edit.importDomain(DOMAIN, 1);
  edit.rewrite((node) => {
    if (!takers.has(node)) return undefined;
    const [left = ''] = node.input;
    return [
      edit.make({
        op: 'MatMulNBits',
        domain: DOMAIN,
        name: node.name || edit.fresh('MatMulNBits'),
        inputs: [left, ...inputs],
        outputs: node.output,
        attributes: { K: BigInt(k), N: BigInt(n), bits: BigInt(bits), block_size: BigInt(block) },
      }),
    ];
  });
}
