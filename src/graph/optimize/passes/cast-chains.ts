import { onnxType } from '../../../formats/onnx/dtypes.js';
import type { NodeProto } from '../../../formats/onnx/schema.js';
import { inputOf, numberOf, outputOf } from '../../opset/attributes.js';
import type { GraphPass } from '../pass.js';
import { rewritten } from '../rewritten.js';
import type { WorkGraph } from '../work-graph.js';

/** Cast of a Cast that loses nothing: the second one takes the value itself, or goes where it leads back. */
export const castChains: GraphPass = {
  name: 'cast-chains',
  summary: 'of two casts in a row the first goes where it loses nothing',
  level: 'basic',
  apply(graph) {
    let found = 0;
    for (const original of graph.nodes) {
      const node = graph.maker(outputOf(original, 0), 'Cast');
      if (node && shorten(graph, node)) found++;
    }
    return found;
  },
};

function shorten(graph: WorkGraph, node: NodeProto): boolean {
  const first = graph.maker(inputOf(node, 0), 'Cast');
  const source = first && inputOf(first, 0);
  const output = outputOf(node, 0);
  if (!first || source === undefined || output === undefined) return false;
  const [from, between, to] = [graph.fact(source).dtype, targetOf(first), targetOf(node)];
  if (from === undefined || between === undefined || to === undefined) return false;
  if (from === between || !sameThrough(from, between, to)) return false;
  if (from === to) return graph.bypass(node, output, source);
  graph.replace(node, rewritten(node, 'Cast', [source], { to: BigInt(numberOf(node, 'to') ?? 0) }));
  return true;
}

const targetOf = (node: NodeProto): string | undefined => onnxType(numberOf(node, 'to') ?? 0)?.dtype;

/** Bits of integers with their sign, bits of the significands of floats (the leading one included). */
const INTEGERS = new Map(
  Object.entries({ i8: -7, u8: 8, i16: -15, u16: 16, i32: -31, u32: 32, i64: -63, u64: 64 }),
);
const FLOATS = new Map(Object.entries({ bf16: 8, f16: 11, f32: 24, f64: 53 }));

/** True if all values of a type are values of another one. */
function holds(wide: string, narrow: string): boolean {
  if (narrow === 'bool') return true;
  const [integer, float] = [INTEGERS.get(narrow), FLOATS.get(narrow)];
  if (float !== undefined) return (FLOATS.get(wide) ?? 0) > float && (wide !== 'f16' || narrow !== 'bf16');
  if (integer === undefined) return false;
  const wideFloat = FLOATS.get(wide);
  if (wideFloat !== undefined) return wideFloat >= Math.abs(integer);
  const wideInteger = INTEGERS.get(wide) ?? 0;
  return Math.abs(wideInteger) >= Math.abs(integer) && (wideInteger < 0 || integer > 0);
}

/**
 * True if a value goes the same way without the type between. Floats become integers in ways of their own where they are
 * out of range, so only what stays among integers or ends in floats is taken for the same.
 */
function sameThrough(from: string, between: string, to: string): boolean {
  const known = (type: string): boolean => type === 'bool' || INTEGERS.has(type) || FLOATS.has(type);
  if (![from, between, to].every(known) || between === 'bool' || !holds(between, from)) return false;
  if (from === to || from === 'bool' || to === 'bool' || FLOATS.has(to)) return true;
  return INTEGERS.has(from) && INTEGERS.has(between);
}
