import { createHash } from 'node:crypto';
import type { TensorSource } from '../../../core/tensor.js';
import type { GraphPass } from '../pass.js';
import type { WorkGraph } from '../work-graph.js';

/**
 * Initializers with the same type, shape and bytes become one: weights that are tied but were exported twice, and
 * constants that every layer has of its own. Only tensors of equal type and shape are read.
 */
export const duplicateInitializers: GraphPass = {
  name: 'duplicate-initializers',
  summary: 'initializers of the same type, shape and bytes become one (tied weights)',
  level: 'basic',
  async apply(graph) {
    const alike = new Map<string, string[]>();
    for (const [name, { info, byteLength }] of graph.tensors) {
      if (graph.isInput(name) || graph.leaves(name)) continue;
      const key = JSON.stringify([info.dtype, info.shape, byteLength]);
      const names = alike.get(key);
      if (names) names.push(name);
      else alike.set(key, [name]);
    }
    let merged = 0;
    for (const names of alike.values()) if (names.length > 1) merged += await merge(graph, names);
    return merged;
  },
};

const hashes = new WeakMap<TensorSource['stream'], Promise<string>>();

/** SHA-256 of the bytes; asked for again in every round, read once. */
function hashOf(tensor: TensorSource): Promise<string> {
  let known = hashes.get(tensor.stream);
  if (!known) {
    known = (async () => {
      const hash = createHash('sha256');
      for await (const chunk of tensor.stream()) hash.update(chunk);
      return hash.digest('base64');
    })();
    hashes.set(tensor.stream, known);
  }
  return known;
}

async function merge(graph: WorkGraph, names: readonly string[]): Promise<number> {
  const first = new Map<string, string>();
  let merged = 0;
  for (const name of names) {
    const tensor = graph.tensor(name);
    if (!tensor) continue;
    const hash = await hashOf(tensor);
    const same = first.get(hash);
    if (same === undefined) {
      first.set(hash, name);
      continue;
    }
    graph.replaceUses(name, same);
    graph.dropTensor(name);
    merged++;
  }
  return merged;
}
