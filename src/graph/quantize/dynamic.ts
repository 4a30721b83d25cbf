import type { WorkContext } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import { type Finding, finding } from '../../errors.js';
import type { InScratch } from '../../kernels/quantize/in-scratch.js';
import { type QuantizedAffine, quantizeLinear } from '../../kernels/quantize/linear-pool.js';
import { type EditNode, GraphEdit } from '../edit.js';
import { convertOpset } from '../opset.js';
import { dynamicConv } from './dynamic-conv.js';
import { dynamicGather } from './dynamic-gather.js';
import { DynamicGraph, type NodeList } from './dynamic-graph.js';
import { dynamicGemm, dynamicMatMul } from './dynamic-linear.js';
import { dynamicLstm } from './dynamic-lstm.js';
import { DynamicRemarks } from './dynamic-remarks.js';
import { otherUses, remarkLeft } from './dynamic-uses.js';
import { DynamicWeights, makerFrom, WeightGatherer } from './dynamic-weights.js';
import { foreseeOthers } from './foresee.js';
import { smoothed } from './smooth.js';
import type { GraphScheme, Quantized, QuantizeSettings } from './types.js';

/** Operator set that brought DynamicQuantizeLinear. */
const LEAST_OPSET = 11;
const ID = 'int8-dynamic';

const PASSES: ReadonlyMap<string, (graph: DynamicGraph, node: EditNode) => Promise<NodeList | undefined>> =
  new Map([
    ['MatMul', dynamicMatMul],
    ['Gemm', dynamicGemm],
    ['Conv', dynamicConv],
    ['LSTM', dynamicLstm],
  ]);

/**
 * Integers for weights, and for activations while the graph runs: their range is that of the whole tensor at hand, so a
 * sample's result may depend a little on the others of its batch. Inputs and outputs stay f32.
 */
export const int8Dynamic: GraphScheme = {
  id: ID,
  title: 'int8 weights, activations quantized at run time',
  prepare: smoothed,
  async apply(model, settings, _ranges, context): Promise<Quantized> {
    const { model: raised, findings } = await withOperators(model);
    const pooled = context && (await inPool(raised, settings, context));
    const edit = await GraphEdit.open(raised);
    const remarks = new DynamicRemarks();
    const maker = makerFrom(pooled?.done ?? new Map());
    const weights = new DynamicWeights(edit, settings, remarks, maker);
    const graph = new DynamicGraph(edit, settings, weights, remarks);
    const made = await rewritten(graph);
    const release = pooled ? { release: pooled.release } : {};
    if (made.size === 0) return { model, quantized: [], findings: remarks.findings(), ...release };
    edit.rewrite((node) => made.get(node));
    const finished = edit.finish();
    return {
      model: finished,
      quantized: weights.quantized(ID, finished),
      findings: [...findings, ...remarks.findings()],
      ...release,
    };
  },
};

/** All weights that the rewriting will ask for, made at once by the pool. */
async function inPool(
  model: Model,
  settings: QuantizeSettings,
  context: WorkContext,
): Promise<InScratch<QuantizedAffine>> {
  const edit = await GraphEdit.open(model);
  const remarks = new DynamicRemarks();
  const gatherer = new WeightGatherer();
  await rewritten(
    new DynamicGraph(edit, settings, new DynamicWeights(edit, settings, remarks, gatherer.maker), remarks),
  );
  const jobs = gatherer.jobs();
  foreseeOthers(model, [...jobs.values()], context);
  const { done, release } = await quantizeLinear([...jobs.values()], context);
  const byKey = [...jobs].flatMap(([key, { tensor }]): [string, QuantizedAffine][] => {
    const made = done.get(tensor.info.name);
    return made ? [[key, made]] : [];
  });
  return { done: new Map(byKey), release };
}

/** The model with an operator set that has what is needed, and its constants no inputs. */
async function withOperators(model: Model): Promise<{ model: Model; findings: readonly Finding[] }> {
  const version = model.graph?.opsets.get('') ?? LEAST_OPSET;
  if (version >= LEAST_OPSET) return { model, findings: [] };
  // Before IR 4 constants are inputs as well; the IR version that comes with the operators would let them be fed.
  const plain = (await GraphEdit.open(model)).finish();
  const { model: raised, findings } = await convertOpset(plain, LEAST_OPSET);
  const why = `DynamicQuantizeLinear needs operator set ${LEAST_OPSET}, the model has ${version}`;
  return { model: raised, findings: [finding('info', 'OPSET_RAISED', 'graph', why), ...findings] };
}

async function rewritten(graph: DynamicGraph): Promise<ReadonlyMap<EditNode, NodeList>> {
  const made = new Map<EditNode, NodeList>();
  const standard = graph.edit.nodes.filter(({ domain = '' }) => domain === '' || domain === 'ai.onnx');
  for (const node of standard) {
    const nodes = await PASSES.get(node.opType ?? '')?.(graph, node);
    if (nodes) made.set(node, nodes);
  }
  const taken = otherUses(graph, (node) => made.has(node));
  for (const node of graph.passed) if (!node.output.some((name) => taken.has(name))) made.set(node, []);

  const gathers = new Set(standard.filter(({ opType }) => opType === 'Gather'));
  const floats = otherUses(graph, (node) => made.has(node) || gathers.has(node));
  for (const node of gathers) {
    const nodes = await dynamicGather(graph, node, floats);
    if (nodes) made.set(node, nodes);
  }
  remarkLeft(graph, (node) => made.has(node));
  return made;
}
