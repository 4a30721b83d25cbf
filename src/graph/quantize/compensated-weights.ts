import { dtypeFacts, elementCount } from '../../core/dtype.js';
import { readTensor, type TensorSource } from '../../core/tensor.js';
import { type Finding, finding } from '../../errors.js';
import { castTensor } from '../../kernels/cast.js';
import { packCodes } from '../../kernels/packing.js';
import {
  type AffineSpec,
  type AffineTensor,
  fitted,
  type Parameters,
  withCodes,
} from '../../kernels/quantize/affine.js';
import { lowerFactor } from '../../kernels/quantize/cholesky.js';
import { compensated, type MatrixLayout } from '../../kernels/quantize/gptq.js';
import { type NBitsMatrix, packedMatrix } from '../../kernels/quantize/matmul-nbits.js';
import { ScratchTensors } from '../../kernels/quantize/scratch-tensors.js';
import { leastSquares } from '../../kernels/quantize/search.js';
import { viewAs } from '../../kernels/views.js';
import type { GraphEdit } from '../edit.js';
import { type Plan, specOf, tensorOf } from './integer-plan.js';
import { feedsOf } from './layer-feeds.js';
import type { GramRequest, LayerFeeds, QuantizeSettings } from './types.js';

/** Added to the diagonal of H: this share of its mean (section 3.3 of the paper). */
const DAMPENING = 0.01;

export interface CompensatedWeights {
  /** By the name of the weight; those that are missing are rounded as usual. */
  readonly made: ReadonlyMap<string, { readonly matrix?: NBitsMatrix; readonly affine?: AffineTensor }>;
  readonly findings: readonly Finding[];
  release(): void;
}

/**
 * GPTQ for all weights of MatMul, Gemm and Conv. Those that are fed with the same value share its Gram matrix, and there is
 * one such matrix at a time; integers go to a scratch file.
 */
export async function compensatedWeights(
  edit: GraphEdit,
  plans: readonly Plan[],
  settings: QuantizeSettings,
  feeds: LayerFeeds,
  signal?: AbortSignal,
): Promise<CompensatedWeights> {
  const requests = new Map<string, GramRequest>();
  const takers = new Map<string, Plan[]>();
  const findings: Finding[] = [];
  for (const plan of plans) {
    const request = feedsOf(plan);
    if (!request) {
      findings.push(notCompensated(plan.weight.name, `${plan.weight.op} of this form is rounded as usual`));
      continue;
    }
    requests.set(request.key, request);
    takers.set(request.key, [...(takers.get(request.key) ?? []), plan]);
  }
  const scratch = new ScratchTensors();
  const stored = new Map<string, Stored>();
  try {
    await feeds.grams(edit.finish(), [...requests.values()], async (key, gram) => {
      const factor = factorOf(gram, requests.get(key)?.size ?? 0);
      for (const plan of takers.get(key) ?? []) {
        const { name } = plan.weight;
        const tensor = tensorOf(edit, plan);
        if (!factor) findings.push(notCompensated(name, 'what it is fed with is no finite matrix'));
        // A weight that is not finite is told about where it is put into the graph.
        const done = factor && tensor && (await rounded(tensor, plan, factor, settings, scratch, signal));
        if (done) stored.set(name, done);
      }
    });
  } catch (error) {
    scratch.release();
    throw error;
  }
  return {
    made: new Map([...stored].map(([name, one]) => [name, made(one, scratch)])),
    findings,
    release: () => scratch.release(),
  };
}

const notCompensated = (name: string, why: string): Finding => finding('info', 'NOT_COMPENSATED', name, why);

/** L of the dampened matrix, in its place; undefined where it is not finite. An input that is always zero stays free. */
function factorOf(gram: Float64Array, size: number): Float64Array | undefined {
  let trace = 0;
  for (let i = 0; i < size; i++) trace += gram[i * size + i] ?? 0;
  // Nothing but zeros: every rounding is as good, and the nearest one the most sensible.
  const added = trace === 0 ? 1 : (DAMPENING * trace) / size;
  for (let i = 0; i < size; i++) gram[i * size + i] = (gram[i * size + i] ?? 0) + added;
  return lowerFactor(gram, size) ? gram : undefined;
}

/** A weight whose integers lie in the scratch file. */
interface Stored {
  readonly plan: Plan;
  readonly tensor: TensorSource;
  readonly parameters: Parameters;
  readonly at: number;
}

async function rounded(
  tensor: TensorSource,
  plan: Plan,
  factor: Float64Array,
  { method }: QuantizeSettings,
  scratch: ScratchTensors,
  signal?: AbortSignal,
): Promise<Stored | undefined> {
  const spec = specOf(plan);
  const all = await fitted(tensor, spec);
  if (!all) return undefined;
  const search = method === 'mse';
  const { codes, parameters } = await compensated({
    weights: viewAs(
      Float32Array,
      await readTensor(castTensor(tensor, 'f32')),
      elementCount(tensor.info.shape),
    ),
    layout: layoutOf(plan),
    spec,
    factor,
    ...(spec.block === undefined ? { parameters: search ? await leastSquares(tensor, spec, all) : all } : {}),
    search,
    ...(signal ? { signal } : {}),
  });
  return { plan, tensor, parameters, at: scratch.put(packed(codes, spec)) };
}

function layoutOf(plan: Plan): MatrixLayout {
  const { shape, sums } = plan.weight;
  if (plan.kind === 'nbits' && plan.turned) return inputsFirst(shape[1] ?? 0, shape[0] ?? 0);
  // A kernel of Conv is a row for each output.
  const [rows = 0, columns = 0] = [shape[0], elementCount(shape.slice(1))];
  return sums === 0
    ? inputsFirst(rows, columns)
    : { inputs: columns, outputs: rows, inputStep: 1, outputStep: columns };
}

const inputsFirst = (inputs: number, outputs: number): MatrixLayout => ({
  ...{ inputs, outputs, inputStep: outputs, outputStep: 1 },
});

function packed(codes: Uint8Array, { dtype }: AffineSpec): Uint8Array {
  const { bits } = dtypeFacts(dtype);
  if (bits !== 2 && bits !== 4) return codes;
  const out = new Uint8Array(Math.ceil((codes.length * bits) / 8));
  const mask = 2 ** bits - 1;
  packCodes(
    codes.map((code) => code & mask),
    bits,
    codes.length,
    out,
  );
  return out;
}

function made({ plan, tensor, parameters, at }: Stored, scratch: ScratchTensors) {
  const spec = specOf(plan);
  const { name, shape } = tensor.info;
  const codes = scratch.tensor({ name, dtype: spec.dtype, shape }, at);
  const affine = withCodes(tensor, spec, parameters, codes);
  return plan.kind === 'nbits'
    ? { matrix: packedMatrix(tensor, plan.nbits, parameters, affine) }
    : { affine };
}
