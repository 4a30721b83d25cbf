import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { inspectModel } from '../../src/operations/inspect.js';
import { testContext } from '../support/context.js';
import { dtypeOf } from '../support/reference-dtypes.js';

/** Every fixture with a sidecar that lists what the reference library read: names, types, shapes and hashes. */

interface Fact {
  readonly name: string;
  readonly dtype?: string;
  readonly type?: string;
  readonly shape: readonly number[];
  readonly sha256?: string;
}
interface Sidecar {
  readonly tensors?: readonly Fact[];
  readonly initializers?: readonly Fact[];
  readonly expected_state_dict?: readonly Fact[];
  readonly node_count?: number;
  readonly ops?: Record<string, number>;
  readonly other_leaves?: readonly { type?: string }[];
}

const root = path.resolve('fixtures');
const sidecars = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.json') && !file.startsWith('hostile'))
  .map((file) => path.join(root, file))
  .filter((file) => existsSync(file.slice(0, -5)) && statSync(file.slice(0, -5)).isFile())
  .map((file) => ({ model: file.slice(0, -5), facts: JSON.parse(readFileSync(file, 'utf8')) as Sidecar }));

const listed = ({ tensors, initializers, expected_state_dict }: Sidecar): readonly Fact[] | undefined => {
  const list = expected_state_dict ?? tensors ?? initializers;
  return Array.isArray(list) && typeof list[0] === 'object' ? list : undefined;
};
/** A reader may give more than the reference's list where the file holds sparse tensors. */
const sparse = ({ other_leaves = [] }: Sidecar): boolean =>
  other_leaves.some((leaf) => /sparse/.test(leaf.type ?? ''));

describe('golden', () => {
  it('has fixtures of several formats', () => {
    expect(sidecars.filter(({ facts }) => listed(facts)).length).toBeGreaterThan(20);
  });

  it.each(
    sidecars.flatMap(({ model, facts }) => {
      const want = listed(facts);
      const refused = /(unknown_global|object_array|non_numeric)\.[a-z]+$/.test(model);
      return want && !refused ? [[path.relative(root, model), model, facts, want] as const] : [];
    }),
  )('%s', async (_, model, facts, want) => {
    const report = await inspectModel(model, { hashes: true }, testContext(1));
    const found = new Map(report.tensors.map((tensor) => [tensor.name, tensor]));
    for (const fact of want) {
      const tensor = found.get(fact.name) ?? (want.length === 1 ? report.tensors[0] : undefined);
      expect(tensor, fact.name).toBeDefined();
      if (fact.sha256) expect(tensor?.sha256, fact.name).toBe(fact.sha256);
      if (fact.dtype === 'float4_e2m1fn_x2') continue; // two elements a byte: its shape follows torch's convention
      expect(tensor?.dtype, fact.name).toBe(dtypeOf(fact.dtype ?? fact.type ?? ''));
      expect(tensor?.shape, fact.name).toEqual(fact.shape);
    }
    if (!sparse(facts)) expect(report.tensors.length).toBe(want.length);
    if (facts.node_count !== undefined) expect(report.graph?.nodes).toBe(facts.node_count);
    if (facts.ops) expect({ ...report.graph?.ops }).toEqual(facts.ops);
  });
});
