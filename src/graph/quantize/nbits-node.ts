import type { NBitsMatrix, NBitsSpec } from '../../kernels/quantize/matmul-nbits.js';
import type { EditNode, GraphEdit } from '../edit.js';
import type { Weight } from './weights.js';

const DOMAIN = 'com.microsoft';

/** MatMul nodes of a K × N weight become `com.microsoft::MatMulNBits`, Gemm nodes that and Add. */
export function multiplyNBits(
  edit: GraphEdit,
  { name, nodes }: Weight,
  matrix: NBitsMatrix,
  { bits, block }: NBitsSpec,
  [k, n]: readonly [number, number],
): void {
  const { packed, scales, zeroPoints } = matrix;
  const inputs = [
    edit.add(`${name}_Q${bits}`, packed),
    edit.add(`${name}_scales`, scales),
    ...(zeroPoints ? [edit.add(`${name}_zero_points`, zeroPoints)] : []),
  ];
  const takers = new Set<EditNode>(nodes);
  edit.importDomain(DOMAIN, 1);
  edit.rewrite((node) => {
    if (!takers.has(node)) return undefined;
    const [left = '', , added = ''] = node.input;
    const [output = ''] = node.output;
    const sums = node.opType === 'Gemm' && added !== '' ? edit.fresh(`${output}_product`) : output;
    const nodeName = node.name || edit.fresh('MatMulNBits');
    return [
      edit.make({
        op: 'MatMulNBits',
        domain: DOMAIN,
        name: nodeName,
        inputs: [left, ...inputs],
        outputs: [sums],
        attributes: { K: BigInt(k), N: BigInt(n), bits: BigInt(bits), block_size: BigInt(block) },
      }),
      ...(sums === output
        ? []
        : [
            edit.make({
              op: 'Add',
              name: edit.fresh(`${nodeName}_add`),
              inputs: [sums, added],
              outputs: [output],
            }),
          ]),
    ];
  });
}
