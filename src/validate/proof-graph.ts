import { encodeModel, type NodeDescription, type TensorDescription } from '../graph/build.js';
import type { Segment } from './proof-plan.js';

/** A segment, and the file (in the folder of the session) where the runtime finds its bytes. */
export interface PlacedSegment extends Segment {
  readonly from: { readonly location: string; readonly offset: number };
}

/** Operators of this version know every type that the runtime can cast. */
const OPSET = 25;
const IR_VERSION = 13;
/** TensorProto.DataType of the two types that are reduced. */
const CAST_TO = { f32: 1n, f64: 11n } as const;

/** Outputs of the graph: one vector per reduced type. */
export const OUTPUTS = { f32: 'figures_f32', f64: 'figures_f64' } as const;

/**
 * A graph without inputs whose initializers are the segments. Each becomes three vectors of its rows: least,
 * greatest, sum; joined in the order of the segments, one output per reduced type.
 * Every segment is finished before the next one starts, so that only one cast result is alive at a time.
 */
export function proofModel(segments: readonly PlacedSegment[]): Promise<Uint8Array> {
  const nodes: NodeDescription[] = [];
  const initializers: TensorDescription[] = [
    { name: 'axis', dtype: 'i64', shape: [1], raw: Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0) },
  ];
  const parts = { f32: [] as string[], f64: [] as string[] };
  segments.forEach((segment, i) => {
    const { reading, rows, columns, bytes, from } = segment;
    initializers.push({
      name: `t${i}`,
      dtype: reading.as,
      shape: [rows, columns],
      external: { ...from, length: bytes },
    });
    const cast = reading.as !== reading.reduce;
    if (cast)
      nodes.push({
        op: 'Cast',
        inputs: [`t${i}`],
        outputs: [`c${i}`],
        attributes: { to: CAST_TO[reading.reduce] },
      });
    const values = cast ? `c${i}` : `t${i}`;
    for (const op of ['ReduceMin', 'ReduceMax', 'ReduceSum'])
      nodes.push({ op, inputs: [values, 'axis'], outputs: [`${op}${i}`], attributes: { keepdims: 0n } });
    nodes.push({
      op: 'Concat',
      inputs: [`ReduceMin${i}`, `ReduceMax${i}`, `ReduceSum${i}`],
      outputs: [`p${i}`],
      attributes: { axis: 0n },
    });
    parts[reading.reduce].push(`p${i}`);
  });
  const outputs = (['f32', 'f64'] as const).filter((type) => parts[type].length > 0);
  for (const type of outputs)
    nodes.push({ op: 'Concat', inputs: parts[type], outputs: [OUTPUTS[type]], attributes: { axis: 0n } });
  return encodeModel({
    opset: OPSET,
    irVersion: IR_VERSION,
    nodes,
    inputs: [],
    outputs: outputs.map((type) => ({ name: OUTPUTS[type], dtype: type, shape: ['figures'] })),
    initializers,
  });
}
