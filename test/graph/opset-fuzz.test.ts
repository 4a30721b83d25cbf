import { expect, it } from 'vitest';
import type { Model } from '../../src/core/model.js';
import { isMlserError } from '../../src/errors.js';
import type { AttributeProto, NodeProto } from '../../src/formats/onnx/schema.js';
import { protoOf, summarize } from '../../src/formats/onnx/summary.js';
import { encodeModel } from '../../src/graph/build.js';
import { operatorNames } from '../../src/graph/opset/history.js';
import { convertOpset } from '../../src/graph/opset.js';
import { OPSET_CASES } from './opset-cases.js';
import { openBytes } from './opset-support.js';

const ROUNDS = 2500;
let seed = 20_240_229;
const below = (limit: number): number => {
  seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
  return Math.floor((seed / 2_147_483_648) * limit);
};
const pick = <T>(list: readonly T[]): T => list[below(list.length)]!;
const ODD = [0n, -1n, 5n, -(2n ** 63n), 2n ** 63n - 1n] as const;

const oddNumbers = (attribute: AttributeProto): AttributeProto => ({
  ...attribute,
  i: attribute.i === undefined ? undefined : pick(ODD),
  ints: attribute.ints.map(() => pick(ODD)),
});

/** A node that breaks the rules of its operator, as a file may. */
const MUTATIONS: readonly ((node: NodeProto, other: NodeProto) => NodeProto)[] = [
  (node) => ({ ...node, input: node.input.filter(() => below(2) === 0) }),
  (node) => ({ ...node, output: node.output.map((name) => (below(2) === 0 ? '' : name)) }),
  (node) => ({ ...node, opType: pick(operatorNames()) }),
  (node) => ({ ...node, attribute: node.attribute.map(oddNumbers) }),
  (node) => ({ ...node, attribute: node.attribute.filter(() => below(2) === 0) }),
  (node, other) => ({ ...node, attribute: other.attribute }),
  (node, other) => ({ ...node, input: [...node.input, ...other.input] }),
];

function mutated(source: Model): Model {
  const proto = protoOf(source.graph!);
  const nodes = [...proto.graph!.node];
  for (let count = below(3); count >= 0; count--) {
    const at = below(nodes.length);
    nodes[at] = pick(MUTATIONS)(nodes[at]!, pick(nodes));
  }
  const version = BigInt(7 + below(22));
  const opsetImport = proto.opsetImport.map((one) => ({ ...one, version }));
  return { ...source, graph: summarize({ ...proto, opsetImport, graph: { ...proto.graph!, node: nodes } }) };
}

it('converts broken nodes or refuses them, whatever they say', async () => {
  const sources = await Promise.all(
    OPSET_CASES.map(async ({ model }) => openBytes(await encodeModel(model))),
  );
  let refused = 0;
  for (let round = 0; round < ROUNDS; round++)
    try {
      await convertOpset(mutated(pick(sources)), 7 + below(22));
    } catch (error) {
      if (!isMlserError(error)) throw error;
      expect(error.code).toBe('E_UNSUPPORTED');
      refused++;
    }
  expect(refused).toBeGreaterThan(0);
  expect(refused).toBeLessThan(ROUNDS);
});
