import type { GraphPass } from '../pass.js';

/** Types and shapes that inference and the runtime found out are written down, for all that read the graph later. */
export const inferShapes: GraphPass = {
  name: 'infer-shapes',
  summary: 'types and shapes of all values are written down, as far as they are known',
  level: 'basic',
  apply: (graph) => graph.describe(),
};
