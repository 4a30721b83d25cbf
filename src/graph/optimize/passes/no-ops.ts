import { outputOf } from '../../opset/attributes.js';
import { ARITHMETIC } from '../no-ops/arithmetic.js';
import { MOVES } from '../no-ops/moves.js';
import { REPEATED } from '../no-ops/repeated.js';
import type { Rule } from '../no-ops/rule.js';
import type { GraphPass } from '../pass.js';

const RULES: ReadonlyMap<string, Rule> = new Map(Object.entries({ ...ARITHMETIC, ...REPEATED, ...MOVES }));

/** Nodes whose constants and shapes say that they change nothing. */
export const noOps: GraphPass = {
  name: 'no-ops',
  summary: 'what changes nothing goes: + -0, × 1, slices of everything, pads by 0, Not of Not, …',
  level: 'basic',
  async apply(graph) {
    let removed = 0;
    for (const original of graph.nodes) {
      const output = outputOf(original, 0);
      const node = graph.maker(output);
      const rule = node && RULES.get(graph.op(node) ?? '');
      if (!node || !rule || output === undefined) continue;
      if (node.output.slice(1).some((name) => name !== '' && graph.isTaken(name))) continue;
      const same = await rule(graph, node);
      if (same !== undefined && graph.bypass(node, output, same)) removed++;
    }
    return removed;
  },
};
