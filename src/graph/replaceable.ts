import type { Model } from '../core/model.js';
import { initializersOf } from '../formats/onnx/graphs.js';
import { protoOf } from '../formats/onnx/summary.js';

/** Dense initializers of the main graph that are neither its outputs nor defaults of its inputs, by name. */
export function replaceableInitializers({ graph }: Model): ReadonlySet<string> {
  if (!graph) return new Set();
  const proto = protoOf(graph);
  const bound = new Set(
    [...(proto.graph?.input ?? []), ...(proto.graph?.output ?? [])].map(({ name }) => name ?? ''),
  );
  return new Set(
    [...initializersOf(proto)].flatMap((one) =>
      one.main && 'tensor' in one && !bound.has(one.name) ? [one.name] : [],
    ),
  );
}
