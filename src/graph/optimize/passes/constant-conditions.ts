import { inputOf } from '../../opset/attributes.js';
import { inlineBody } from '../inline-body.js';
import type { GraphPass } from '../pass.js';

/** If whose condition is a constant: the nodes of its branch come in its place, the other branch goes. */
export const constantConditions: GraphPass = {
  name: 'constant-conditions',
  summary: 'If with a constant condition becomes the nodes of its branch',
  level: 'basic',
  async apply(graph) {
    let found = 0;
    for (const original of graph.nodes) {
      const node = graph.maker(
        original.output.find((name) => name !== ''),
        'If',
      );
      const condition = node && (await graph.value(inputOf(node, 0)))?.numbers[0];
      if (!node || condition === undefined) continue;
      const branch = graph.body(node, condition === 0 ? 'else_branch' : 'then_branch');
      if (branch && (await inlineBody(graph, node, branch))) found++;
    }
    return found;
  },
};
