import type {
  PresetReport,
  QuantizeReport,
  SensitivityReport,
} from '../../../src/operations/quantize/report.js';
import { findings, validation } from './common.js';
import { writeReport } from './writing.js';

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
