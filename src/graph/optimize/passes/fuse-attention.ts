import { RUNTIME_DOMAIN as domain, fuse, isClosed, nodesOf } from '../fuse.js';
import type { GraphPass, Services } from '../pass.js';
import { type AttentionMatch, attentionAround } from '../patterns/attention.js';
import { projectionOf, sideBySide } from '../patterns/projections.js';
import type { WorkGraph } from '../work-graph.js';

/** Up to so many numbers a place Attention was faster in everything measured. */
const WIDEST_PACKED = 512;
/** From so many places on MultiHeadAttention was faster in everything measured. */
const FEWEST_PLACES = 256;

/**
 * Attention, which onnxruntime does not find itself in what exporters write today, becomes its operators where they gain.
 * Measured with 1.30 (cpu, one thread; batch × places × heads × width, products with the matrices included):
 *
 *     Attention           1 × 16 × 4 × 16   0.0268 → 0.0173 ms     2 × 65 × 3 × 64    0.384 → 0.346
 *                         2 × 64 × 4 × 32   0.198 → 0.155          2 × 128 × 6 × 64   2.24 → 2.11
 *                         1 × 64 × 8 × 64   0.93 → 0.80            4 × 32 × 12 × 64   3.37 → 3.56 (so not above 512)
 *     with a mask         1 × 16 × 4 × 16   0.0269 → 0.0201        2 × 65 × 3 × 64    0.352 → 0.318
 *                         2 × 64 × 4 × 32   0.196 → 0.174          1 × 512 × 8 × 64   13.2 → 11.7
 *     MultiHeadAttention  1 × 512 × 8 × 64  12.5 → 11.2            4 × 32 × 12 × 64   3.58 → 3.70 (so not for few places)
 *
 * MultiHeadAttention with a mask is slower at middle sizes (2 × 128 × 12 × 64 alone: 1.88 → 2.00): left alone.
 */
export const fuseAttention: GraphPass = {
  name: 'fuse-attention',
  summary: 'attention of several heads becomes what onnxruntime has, where that is faster',
  level: 'all',
  async apply(graph, { services }) {
    let fused = 0;
    for (const node of nodesOf(graph, 'Softmax')) {
      const found = await attentionAround(graph, node);
      if (!found || !isClosed(graph, found.inner, found.last)) continue;
      if ((await packed(graph, found, services)) || separate(graph, found)) fused++;
    }
    return fused;
  },
};

/** Queries, keys and values of one value: a single product with all three matrices. */
async function packed(graph: WorkGraph, found: AttentionMatch, services: Services): Promise<boolean> {
  const { query, key, value, heads, width, mask, inner, last } = found;
  const size = heads * width;
  if (size > WIDEST_PACKED) return false;
  const q = await projectionOf(graph, query, size);
  const k = await projectionOf(graph, key, size);
  const v = await projectionOf(graph, value, size);
  if (!q || !k || !v || q.x !== k.x || q.x !== v.x || v.factor !== 1) return false;
  const all = [...q.nodes, ...k.nodes, ...v.nodes, ...inner];
  if (new Set([q.weight, k.weight, v.weight]).size < 3 || !isClosed(graph, all, last)) return false;
  const constants = await sideBySide(graph, [q, k, v], size, services);
  if (!constants) return false;
  const attributes = { num_heads: BigInt(heads), scale: found.scale * q.factor * k.factor };
  const inputs = [q.x, constants.weight, constants.bias, ...(mask === undefined ? [] : ['', '', mask])];
  return fuse(graph, all, last, { op: 'Attention', inputs, attributes, domain });
}

function separate(graph: WorkGraph, found: AttentionMatch): boolean {
  const { query, key, value, heads, scale, inner, last } = found;
  const places = graph.fact(query).shape?.[1];
  if (found.mask !== undefined || typeof places !== 'number' || places < FEWEST_PLACES) return false;
  const attributes = { num_heads: BigInt(heads), scale };
  const inputs = [query, key, value];
  return fuse(graph, inner, last, { op: 'MultiHeadAttention', inputs, attributes, domain });
}
