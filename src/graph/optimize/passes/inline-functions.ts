import { protoOf } from '../../../formats/onnx/summary.js';
import { inlineCalls } from '../../inline/inline-calls.js';
import { sourcesOf, withProto } from '../../opset.js';
import type { ModelPass } from '../pass.js';

/** Calls of functions that the model brings along become the nodes of their bodies; all other passes see through them then. */
export const inlineFunctions: ModelPass = {
  name: 'inline-functions',
  summary: "calls of the model's own functions become the nodes of their bodies",
  level: 'basic',
  async prepare(model) {
    const before = model.graph && protoOf(model.graph);
    if (!before || before.functions.length === 0) return { model, rewrites: 0 };
    const sources = sourcesOf(model, before);
    const { proto, calls } = await inlineCalls(before, sources);
    if (calls === 0) return { model, rewrites: 0 };
    return { model: withProto(model, proto, sources), rewrites: calls };
  },
};
