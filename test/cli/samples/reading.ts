import type {
  CheckReport,
  ChecksumReport,
  DiffReport,
  InspectReport,
  MetaReport,
  ValidateReport,
} from '../../../src/operations/reports.js';
import { findings, outputs, SHA, validation } from './common.js';

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

export const metaReport: MetaReport = {
  command: 'meta',
  path: 'model.safetensors',
  metadata: { license: 'mit', list: [1, 'two'] },
  changed: ['license'],
  findings,
};
