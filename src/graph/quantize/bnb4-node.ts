import { elementCount } from '../../core/dtype.js';
import type { TensorSource } from '../../core/tensor.js';
import type { BlockFloatTensor } from '../../kernels/quantize/block-floats.js';
import { encoded } from '../../kernels/quantize/codes.js';
import type { EditNode, GraphEdit } from '../edit.js';
import type { Weight } from './weights.js';

const DOMAIN = 'com.microsoft';
/** `quant_type` of the normal float (ContribOperators.md: 0 is FP4). */
const NF4 = 1n;

/** MatMulBnb4 takes matrices that nothing else takes; the cpu has a kernel for f32 alone (onnxruntime 1.30). */
export const takesBnb4 = ({ op, shape, shared }: Weight, { info }: TensorSource): boolean =>
  op === 'MatMul' && shape.length === 2 && !shared && info.dtype === 'f32';

/**
 * MatMul nodes of a K × N weight become `com.microsoft::MatMulBnb4` (ContribOperators.md). `coded` is the weight turned
 * to N × K, whose row-major elements are cut into blocks. Bytes stored in the weight's place.
 */
export function multiplyBnb4(
  edit: GraphEdit,
  { name, nodes, shape }: Weight,
  { codes, scales }: BlockFloatTensor,
  block: number,
): number {
  const absmax = encoded('f32', Float64Array.from(scales));
  const inputs = [
    edit.add(`${name}_nf4`, highFirst(codes)),
    edit.addBytes(`${name}_absmax`, 'f32', [scales.length], absmax),
  ];
  const [k = 0, n = 0] = shape;
  const takers = new Set<EditNode>(nodes);
  edit.importDomain(DOMAIN, 1);
  edit.rewrite((node) => {
    if (!takers.has(node)) return undefined;
    const [left = ''] = node.input;
    return [
      edit.make({
        op: 'MatMulBnb4',
        domain: DOMAIN,
        name: node.name || edit.fresh('MatMulBnb4'),
        inputs: [left, ...inputs],
        outputs: node.output,
        attributes: { K: BigInt(k), N: BigInt(n), block_size: BigInt(block), quant_type: NF4 },
      }),
    ];
  });
  return codes.byteLength + absmax.length;
}

/** Two codes a byte, the first in the upper half: ours have it in the lower one. */
function highFirst(codes: TensorSource): TensorSource {
  const bytes = Math.ceil(elementCount(codes.info.shape) / 2);
  const { recipe: _, location: __, ...rest } = codes;
  return {
    ...rest,
    info: { ...codes.info, dtype: 'u8', shape: [bytes] },
    async *stream(range) {
      for await (const chunk of codes.stream(range))
        yield chunk.map((pair) => ((pair & 0x0f) << 4) | (pair >> 4));
    },
  };
}
