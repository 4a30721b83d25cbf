import type { BenchReport, Roof } from '../../src/operations/bench/report.js';
import type {
  DeltaAddReport,
  DeltaCreateReport,
  DeltaLogReport,
  DeltaPruneReport,
  DeltaVerifyReport,
} from '../../src/operations/delta/report.js';
import type { OptimizeReport, PassList } from '../../src/operations/optimize/report.js';
import type { PipelineReport } from '../../src/operations/pipeline/report.js';
import type { PruneReport } from '../../src/operations/prune/report.js';
import type {
  PresetReport,
  QuantizeReport,
  SensitivityReport,
} from '../../src/operations/quantize/report.js';
import type { ReduceReport } from '../../src/operations/reduce/report.js';
import type {
  CheckReport,
  ChecksumReport,
  DiffReport,
  InspectReport,
  MetaReport,
  ValidateReport,
  WriteReport,
} from '../../src/operations/reports.js';
import type { TraceReport } from '../../src/operations/trace/report.js';
import type { ValidationReport } from '../../src/validate/report.js';

/** Reports with every optional field, so that nothing a renderer shows is left out of its tests. */

const SHA = 'ab'.repeat(32);
const findings = [
  { code: 'DROPPED', severity: 'warning', subject: 'training', message: 'the training state is dropped' },
  { code: 'BROKEN', severity: 'error', subject: 'w', message: 'w is broken' },
  { code: 'NOTE', severity: 'info', subject: 'w', message: 'odd but legal' },
] as const;
const error = { maxAbs: 0.5, maxRel: 0.25, rmse: 0.125, sqnrDb: 40, cosine: 0.999 };

const outputs = [
  {
    name: 'logits',
    maxAbs: 1e-6,
    maxRel: 1e-3,
    rmse: 1e-7,
    cosine: 1,
    argmaxAgreement: 1,
    neededTolerance: 1e-6,
  },
  { name: 'hidden', maxAbs: 0, maxRel: 0, rmse: 0, cosine: null, neededTolerance: 0 },
];

export const validation: ValidationReport = {
  level: 'run',
  device: 'cpu',
  passed: false,
  structure: true,
  weights: { checked: 3, equal: 2, lossy: 1, worst: { name: 'w', maxAbs: 0.5, rmse: 0.125 } },
  run: {
    outputs,
    tolerance: 1e-4,
    feeds: 'test.npz',
    samples: 500,
    tensorsRead: 3,
    tensorsFed: 1,
    reference: 'model.onnx',
  },
  accuracy: { before: 0.97, after: 0.96, samples: 500 },
};

const tensor = (name: string, bytes: number): InspectReport['tensors'][number] => ({
  name,
  dtype: 'f32',
  shape: [bytes / 4],
  bytes,
  file: 'model.safetensors',
  offset: 0,
  role: 'buffer',
  sha256: SHA,
  stats: {
    count: bytes / 4,
    min: -1,
    max: 1,
    mean: 0,
    std: null,
    zeros: 1,
    nan: 1,
    inf: 1,
    distinct: 3,
    entropy: 2.5,
    histogram: { min: -1, max: 1, counts: [1, 0, 5, 9] },
  },
});

export const inspectReport: InspectReport = {
  command: 'inspect',
  path: 'model.safetensors',
  format: 'safetensors',
  formatVersion: '1',
  files: [
    { name: 'model.safetensors', bytes: 4096 },
    { name: 'model.data', bytes: 4096 },
  ],
  bytes: 8192,
  parameters: 1024,
  tensorBytes: 4096,
  dtypes: { f32: { tensors: 12, parameters: 1024, bytes: 4096 } },
  tensors: [
    ...Array.from({ length: 10 }, (_, i) => tensor(`encoder.h.${i}.weight`, 64)),
    tensor('wte.weight', 3456),
    { ...tensor('head.weight', 3456), aliasOf: 'wte.weight' },
  ],
  metadata: { license: 'mit', language: 'en', description: 'a model', nested: { a: [1, null] } },
  graph: {
    irVersion: 8,
    opsets: { '': 17, 'com.example': 1 },
    producer: 'pytorch',
    inputs: [{ name: 'x', dtype: 'f32', shape: ['batch', 3, null] }],
    outputs: [{ name: 'y', dtype: 'f32', shape: null }],
    nodes: 12,
    ops: Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`Op${i}`, i + 1])),
    functions: 1,
    subgraphs: 2,
  },
  training: { step: 200, epoch: 9, loss: 0.25, learningRate: 1e-3, optimizer: 'Adam', state: { lr: 1 } },
  content: SHA,
  delta: { base: SHA, depth: 2, file: 'step-180.mlck', lossy: 'weights int8-delta', found: false },
  findings,
};

export const writeReport: WriteReport = {
  command: 'convert',
  input: 'checkpoint.pt',
  output: 'model.safetensors',
  format: 'safetensors',
  dryRun: true,
  bytesIn: 8192,
  bytesOut: 4096,
  ratio: 2,
  files: [
    { name: 'model.safetensors', bytes: 2048 },
    { name: 'model-2.safetensors', bytes: 2048 },
  ],
  tensors: [
    {
      name: 'w',
      action: 'cast',
      dtypeIn: 'f32',
      dtypeOut: 'bf16',
      shape: [8, 8],
      bytesIn: 256,
      bytesOut: 128,
      error,
    },
    { name: 'b', action: 'copy', dtypeIn: 'f32', dtypeOut: 'f32', shape: [], bytesIn: 4, bytesOut: 4 },
  ],
  findings,
  validation,
  seconds: 0.5,
};

export const quantizeReport: QuantizeReport = {
  ...writeReport,
  command: 'quantize',
  dryRun: false,
  format: 'onnx',
  scheme: 'int8-dynamic',
  accuracyDrop: 0.01,
  speed: {
    beforeMs: 2.5,
    afterMs: 3.25,
    integerKernels: 4,
    floatKernels: 1,
    dequantize: 2,
    quantize: 3,
    layoutCopies: 1,
    floatNodes: ['MatMul /attention/scores'],
    notes: ['1 of 5 heavy operators still compute in float: MatMul /attention/scores'],
  },
  frontier: [
    { bytes: 8192, loss: 0, schemes: {} },
    { bytes: 4096, loss: 0.125, schemes: { 'int8-weights': 2, 'int4-weights': 1 } },
  ],
};

export const presetReport: PresetReport = {
  command: 'quantize',
  preset: 'transformers.js',
  input: 'model.onnx',
  output: 'web/onnx',
  bytesIn: 4096,
  variants: [
    {
      ...{ dtype: 'fp32', file: 'model.onnx', scheme: 'none', outcome: 'source', bytes: 4096 },
      files: [{ name: 'model.onnx', bytes: 4096 }],
      findings: [],
    },
    {
      ...{
        dtype: 'q8',
        file: 'model_quantized.onnx',
        scheme: 'int8-dynamic',
        outcome: 'written',
        bytes: 1024,
      },
      files: [
        { name: 'model_quantized.onnx', bytes: 24 },
        { name: 'model_quantized.onnx_data', bytes: 1000 },
      ],
      ...{ maxAbs: 0.25, cosine: 0.9995, accuracy: 0.96, accuracyDrop: 0.01, beforeMs: 2.5, afterMs: 1.25 },
      findings,
      validation,
    },
    {
      ...{ dtype: 'q4', file: 'model_q4.onnx', scheme: 'int4-weights', outcome: 'failed', bytes: 0 },
      files: [],
      findings,
    },
  ],
  externalData: { 'model_quantized.onnx': 1 },
  findings,
  seconds: 2,
};

export const prunedReport: PruneReport = {
  ...writeReport,
  command: 'prune',
  dryRun: false,
  format: 'mlck',
  prune: {
    ...{ method: 'n:m', asked: 0.5, sparsity: 0.5, zeros: 48, elements: 96 },
    ...{ denseBytes: 384, storedBytes: 320, reason: 'small tensors' },
    tensors: [
      {
        ...{ name: 'w', sparsity: 0.5, zeros: 32, elements: 64, denseBytes: 256, storedBytes: 192 },
        axis: 'axis 1 (outputs first)',
      },
      {
        ...{ name: 'v', sparsity: 0.5, zeros: 16, elements: 32, denseBytes: 128, storedBytes: 128 },
        ...{ axis: 'axis 0 (MatMul)', reason: 'too few zeros' },
      },
    ],
  },
  accuracyDrop: 0.01,
  frontier: [
    { bytes: 1000, loss: 0, levels: {} },
    { bytes: 700, loss: 0.01, levels: { '50 %': 2 } },
  ],
};

export const optimizedReport: OptimizeReport = {
  ...writeReport,
  command: 'optimize',
  dryRun: false,
  format: 'onnx',
  optimize: {
    level: 'extended',
    passes: [
      { name: 'fold-constants', rewrites: 3 },
      { name: 'dead-code', rewrites: 7 },
    ],
    rounds: 2,
    ...{ nodesBefore: 34, nodesAfter: 27 },
    ops: { Constant: [7, 0], Gather: [1, 0] },
  },
  speed: { beforeMs: 2.5, afterMs: 1.25 },
};

export const passList: PassList = {
  command: 'optimize',
  passes: [{ name: 'dead-code', level: 'basic', summary: 'nodes that nothing takes go' }],
};

export const pipelineReport: PipelineReport = {
  ...writeReport,
  command: 'pipeline',
  dryRun: false,
  recipe: { file: 'edge.json', name: 'for small devices' },
  steps: [
    {
      ...{ step: 1, do: 'prune', name: 'half', outcome: 'kept', bytesIn: 1000, bytesOut: 1000 },
      ...{ figures: { method: 'magnitude', sparsity: 0.5 }, validation, findings, seconds: 0.5 },
    },
    {
      ...{ step: 2, do: 'quantize', outcome: 'failed', bytesIn: 1000, bytesOut: 250 },
      ...{ figures: { quantized: 3 }, validation, findings, seconds: 0.25 },
    },
    {
      step: 3,
      do: 'meta',
      outcome: 'waiting',
      bytesIn: null,
      bytesOut: null,
      figures: {},
      findings,
      seconds: 0,
    },
  ],
  failedStep: 2,
  speed: quantizeReport.speed!,
  work: '.edge.onnx.pipeline',
  accuracyDrop: 0.01,
};

export const channelsReport: PruneReport = {
  ...writeReport,
  command: 'prune',
  prune: {
    ...{
      method: 'channels',
      scope: 'global',
      importance: 'l1',
      asked: 0.3,
      sparsity: 0,
      zeros: 0,
      elements: 96,
    },
    ...{ denseBytes: 512, storedBytes: 256, channels: { before: 24, after: 16 } },
    tensors: [
      {
        ...{ name: 'conv.weight', sparsity: 0, zeros: 0, elements: 64, denseBytes: 256, storedBytes: 128 },
        ...{
          channels: { before: 16, after: 8 },
          units: 16,
          members: ['conv.weight', 'conv.bias', 'fc.weight'],
        },
      },
      {
        ...{ name: 'fc.weight', sparsity: 0, zeros: 0, elements: 32, denseBytes: 128, storedBytes: 64 },
        ...{ channels: { before: 8, after: 8 }, units: 8, members: ['fc.weight'] },
        reason: 'it reaches the output "y"',
      },
    ],
  },
};

export const layersReport: PruneReport = {
  ...writeReport,
  command: 'prune',
  prune: {
    ...{ method: 'layers', asked: null, sparsity: 0, zeros: 0, elements: 128 },
    ...{ denseBytes: 512, storedBytes: 256, channels: { before: 2, after: 1 } },
    tensors: [0, 1].map((i) => ({
      ...{ name: `block ${i}`, sparsity: 0, zeros: 0, elements: 64, denseBytes: 256, storedBytes: i * 256 },
      ...{ channels: { before: 1, after: i }, members: [`layers.${i}.w`], influence: 0.125 * (i + 1) },
    })),
  },
};

export const sensitivityReport: SensitivityReport = {
  command: 'sensitivity',
  path: 'model.onnx',
  scheme: 'int4-weights',
  synthetic: true,
  layers: [
    {
      ...{ name: 'fc.weight', scheme: 'int4-weights', bytesIn: 4096, bytesOut: 640 },
      ...{ weightSqnrDb: 20.5, cosine: 0.99, maxAbs: 0.5, sqnrDb: 17, accuracy: 0.96, accuracyDrop: 0.01 },
    },
    {
      ...{ name: 'conv.weight', scheme: 'int4-weights', bytesIn: 256, bytesOut: 48 },
      ...{ weightSqnrDb: null, cosine: 1, maxAbs: 0, sqnrDb: null, accuracy: 0.97, accuracyDrop: 0 },
    },
  ],
  findings,
  seconds: 1.25,
};

export const traceReport: TraceReport = {
  command: 'trace',
  path: 'wrong.onnx',
  reference: 'model.onnx',
  device: 'cpu',
  referenceDevice: 'cpu',
  feeds: 'test.npz',
  samples: 500,
  tolerance: 1e-4,
  passingCosine: 0.999,
  matched: { values: 2, of: 3, name: 1, map: 0, structure: 1, figures: 0 },
  values: [
    {
      ...{ name: 'a', node: 'Conv_0', op: 'Conv', dtype: 'f32', shape: [64, 8], nonFinite: 0 },
      counterpart: {
        ...{ name: 'a', by: 'name', maxAbs: 1e-7, maxRel: 0, rmse: 0, cosine: 1, neededTolerance: 0 },
        ...{ nonFinite: 0, same: true },
      },
    },
    { name: 'b', node: 'relu', op: 'Relu', dtype: 'f32', shape: [64, 8], nonFinite: 0 },
    {
      ...{ name: 'c', node: 'fc', op: 'Gemm', dtype: 'f32', shape: [64, 10], nonFinite: 2 },
      counterpart: {
        ...{ name: 'other', by: 'structure', maxAbs: Number.POSITIVE_INFINITY, maxRel: 2, rmse: 1 },
        ...{ cosine: 0.9, neededTolerance: Number.POSITIVE_INFINITY, nonFinite: 0, same: false },
      },
    },
  ],
  first: {
    ...{ kind: 'differs', value: 'c', node: 'fc', op: 'Gemm', blame: 'weight', between: ['fc', 'relu'] },
    inputs: [
      { name: 'b', kind: 'value' },
      { name: 'fc.weight', kind: 'weight', same: false, maxAbs: 0.5, cosine: 0.99 },
      { name: 'x', kind: 'input' },
    ],
  },
  same: false,
  findings,
  seconds: 1.25,
};

export const reduceReport: ReduceReport = {
  ...writeReport,
  command: 'reduce',
  dryRun: false,
  reduce: {
    failure: { kind: 'differs', text: '"logits" differs by up to 3' },
    ...{ nodesBefore: 12, nodesAfter: 1, checks: 7, minimal: true, proved: true },
    nodes: [{ name: '/conv3/Conv', op: 'Conv', inputs: ['h', 'conv3.weight', ''], outputs: ['y'] }],
    inputs: [{ name: 'h', dtype: 'f32', shape: ['batch', 16, null, 4] }],
    outputs: [{ name: 'y', dtype: 'f32', shape: null }],
    ...{ feeds: 'small.feeds.npz', reference: 'small-reference.onnx' },
    steps: [
      { stage: 'end', nodes: 6, fails: true },
      { stage: 'nodes', nodes: 1, fails: false },
    ],
  },
};

export const checksumReport: ChecksumReport = {
  command: 'checksum',
  files: [{ name: 'model.safetensors', path: 'dir/model.safetensors', bytes: 10, sha256: SHA }],
  content: SHA,
  tensors: [{ name: 'w', dtype: 'f32', shape: [2], sha256: SHA }],
  findings,
};

export const checkReport: CheckReport = {
  command: 'checksum',
  passed: false,
  checks: [
    { kind: 'file', name: 'model.safetensors', ok: true, expected: SHA, found: SHA },
    { kind: 'tensor', name: 'w', ok: false, expected: SHA, found: '00'.repeat(32) },
    { kind: 'content', name: 'content id', ok: false, expected: SHA, found: null },
  ],
  findings,
};

const names = { added: ['new'], removed: ['old'], changed: ['other'] };

export const diffReport: DiffReport = {
  command: 'diff',
  a: 'a.onnx',
  b: 'b.onnx',
  same: false,
  tensors: {
    added: ['n'],
    removed: ['r'],
    changed: [
      {
        name: 'w',
        reasons: ['dtype', 'values'],
        dtype: ['f32', 'bf16'],
        maxAbs: 0.5,
        maxRel: 0.5,
        rmse: 0.1,
        cosine: null,
        changedFraction: 0.25,
        withinTolerance: true,
      },
      { name: 's', reasons: ['shape'], shape: [[2], [3, 1]] },
    ],
    tolerated: [{ name: 't', reasons: [], maxAbs: 1e-7, withinTolerance: true }],
    unchanged: 3,
  },
  metadata: names,
  graph: {
    same: false,
    nodes: [3, 4],
    ops: { added: { Relu: 1 }, removed: { Gelu: 2 } },
    inputs: names,
    outputs: names,
    opsets: names,
  },
  run: { outputs },
  findings,
};

export const validateReport: ValidateReport = {
  command: 'validate',
  path: 'model.onnx',
  format: 'onnx',
  passed: false,
  validation,
  findings,
  seconds: 1,
};

const roof: Roof = {
  ...{ ms: 0.25, share: 0.5, flops: 1e6, bytes: 4e5, intensity: 2.5, gflops: 4, gbps: 1.6 },
  ...{ attained: 0.25, bound: 'memory' },
};

const latency = {
  ...{ mean: 0.6, min: 0.4, p25: 0.45, p50: 0.5, p75: 0.55, p95: 0.9, p99: 1.5, max: 9 },
  intervals: { mean: [0.5, 0.7], p50: [0.49, 0.52], p95: [0.8, 1.2], p99: null },
  histogram: { min: 0.4, max: 1.5, counts: [5, 90, 4, 1] },
} as const;

export const benchReport: BenchReport = {
  command: 'bench',
  settings: {
    ...{ devices: ['cpu'], batches: [1, 8], runs: null, warmup: 10, processes: 5, threads: 2, seed: 1 },
    ...{ feeds: 'test.npz', method: 'bootstrap' },
  },
  machine: { cpu: 'a processor', cores: 2, platform: 'linux x64', node: 'v20.0.0' },
  models: [
    {
      ...{ path: 'a.onnx', device: 'cpu', status: 'measured', bytes: 34_391, parameters: 8162 },
      load: { ms: [20, 22], p50: 21, min: 20, max: 22 },
      memory: { baseline: 5e7, peak: 9e7, model: 4e7 },
      batches: [1, 8].map((batch) => ({
        ...{ batch, runs: 100, turns: 20, shapes: { x: [batch, 1, 8, 8] }, latency },
        throughput: { value: 1666, interval: [1428, 2000] },
      })),
      skipped: [],
      accuracy: { share: 0.986, right: 493, samples: 500, interval: [0.971, 0.993] },
      roofline: {
        ...{ batch: 1, runs: 100, peak: { flops: 3e11, bandwidth: 3e10 }, flops: 1e6, bytes: 4e5 },
        ms: { run: 0.6, operators: 0.5, rest: 0.1 },
        operators: [
          { op: 'Conv', nodes: 3, ...roof },
          { op: 'Odd', nodes: 1, ...roof, flops: null, intensity: null, gflops: null, bound: 'overhead' },
        ],
        nodes: [{ name: '/conv', op: 'Conv', shapes: ['float [1, 1, 8, 8]'], ...roof }],
      },
    },
    {
      ...{ path: 'b.onnx', device: 'cpu', status: 'measured', bytes: 46_286, parameters: 11_386 },
      batches: [
        {
          ...{ batch: 4, runs: 3, turns: 3, shapes: { x: [4, 1, 8, 8] }, latency },
          throughput: { value: 6666, interval: null },
        },
      ],
      skipped: [{ batch: 1, reason: 'the graph fixes its batch at 4' }],
    },
    {
      ...{ path: 'c.onnx', device: 'cpu', status: 'failed', batches: [], skipped: [] },
      error: { code: 'E_RUNTIME', message: 'onnxruntime says: no', details: { input: 'c.onnx' } },
    },
  ],
  comparisons: [
    {
      ...{ path: 'b.onnx', against: 'a.onnx', device: 'cpu', batch: 1, ratio: 0.8 },
      ...{ interval: [0.7, 0.9], verdict: 'faster' },
    },
    {
      ...{ path: 'b.onnx', against: 'a.onnx', device: 'cpu', batch: 8, ratio: 1.1 },
      ...{ interval: null, verdict: 'unknown' },
    },
  ],
  gates: [
    { gate: 'max-p95', path: 'a.onnx', device: 'cpu', asked: 10, measured: 0.9, passed: true },
    { gate: 'max-size', path: 'b.onnx', device: 'cpu', asked: 4e4, measured: 46_286, passed: false },
    { gate: 'min-accuracy', path: 'b.onnx', device: 'cpu', asked: 0.97, measured: null, passed: false },
  ],
  passed: false,
  findings,
  seconds: 6,
};

export const metaReport: MetaReport = {
  command: 'meta',
  path: 'model.safetensors',
  metadata: { license: 'mit', list: [1, 'two'] },
  changed: ['license'],
  findings,
};

export const deltaReport: DeltaCreateReport = {
  ...writeReport,
  command: 'delta create',
  output: 'step-200.mlck',
  format: 'mlck',
  dryRun: false,
  tensors: writeReport.tensors.map((entry) => ({ ...entry, action: 'delta' })),
  base: { content: SHA },
  target: { content: SHA },
  changedTensors: 2,
  changedFraction: 0.25,
  codecs: {
    base: { tensors: 1, bytesIn: 1024, bytesOut: 0 },
    residual: { tensors: 2, bytesIn: 256, bytesOut: 100 },
    twin: { tensors: 1, bytesIn: 0, bytesOut: 0 },
  },
  depth: 3,
  tensorBytes: 8192,
  lossy: 'weights int8-delta, optimizer topk=1%',
};

export const addReport: DeltaAddReport = {
  ...deltaReport,
  command: 'delta add',
  base: null,
  run: 'runs/exp1',
  name: 'step-200',
  step: 200,
  keyframe: true,
  depth: 0,
};

export const verifyReport: DeltaVerifyReport = {
  command: 'delta verify',
  path: 'runs/exp1',
  passed: false,
  checks: [
    { name: 'step-180', ok: true, content: SHA },
    {
      name: 'step-200',
      ok: false,
      content: null,
      error: { code: 'E_INTEGRITY', message: 'step-200.mlck: chunk 0 of tensor "w" is damaged' },
    },
  ],
  findings,
  seconds: 0.5,
};

export const logReport: DeltaLogReport = {
  command: 'delta log',
  path: 'runs/exp1',
  entries: [
    {
      ...{ name: 'step-180', step: 180, file: 'step-180.mlck', content: SHA, base: null, depth: 0 },
      ...{ bytes: 4096, tensorBytes: 8192, ratio: 2 },
    },
    {
      ...{ name: 'later', step: null, file: 'later.mlck', content: null, base: SHA, depth: 1 },
      ...{ bytes: 1024, tensorBytes: 8192, ratio: 8 },
    },
  ],
  bytes: 5120,
  tensorBytes: 16_384,
  ratio: 3.2,
  findings,
};

export const pruneReport: DeltaPruneReport = {
  command: 'delta prune',
  path: 'runs/exp1',
  dryRun: true,
  kept: ['step-200'],
  dropped: Array.from({ length: 10 }, (_, i) => `step-${i}`),
  rewritten: ['step-200'],
  bytesIn: 8192,
  bytesOut: 4096,
  findings,
};

/** The same report with every text of it (keys of maps too) replaced, apart from the words the tool itself chose. */
export function withTexts<T>(report: T, text: string): T {
  const walk = (value: unknown): unknown => {
    if (typeof value === 'string') return OWN.has(value) ? value : text + value;
    if (Array.isArray(value)) return value.map(walk);
    if (typeof value !== 'object' || value === null) return value;
    const entries = Object.entries(value).map(([key, field]) => [
      FREE.test(key) ? key : text + key,
      walk(field),
    ]);
    return Object.fromEntries(entries);
  };
  return walk(report) as T;
}
const OWN = new Set([
  'faster',
  'unknown',
  'max-p95',
  'max-size',
  'min-accuracy',
  'error',
  'warning',
  'info',
  'run',
  'dtype',
  'shape',
  'values',
  'file',
  'tensor',
  'content',
]);
/** Field names of the reports themselves: everything that is a plain identifier and no operator or domain. */
const FREE = /^(?!Op\d|com\.)[a-z][a-zA-Z0-9]*$/;
