import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type Model, tensorMap } from '../../../src/core/model.js';
import type { Prediction } from '../../../src/core/prediction.js';
import { memoryTensor, readTensor, type TensorSource } from '../../../src/core/tensor.js';
import type { StateNode } from '../../../src/core/training.js';
import { encodeManifest } from '../../../src/formats/mlck/encode.js';
import { encodeFooter } from '../../../src/formats/mlck/frame.js';
import { FEATURE_DELTA, FEATURE_PREDICTED } from '../../../src/formats/mlck/layout.js';
import type { TensorRecord } from '../../../src/formats/mlck/manifest.js';
import { reader } from '../../../src/formats/mlck/reader.js';
import { crc32 } from '../../../src/io/crc32.js';
import { adamSecond, adamWeight } from '../../../src/kernels/reference/adam.js';
import { hashModel } from '../../../src/operations/hashes.js';
import { applyDeltas } from '../../../src/operations/delta/apply.js';
import { createDelta, squashDeltas } from '../../../src/operations/delta/create.js';
import { planDelta } from '../../../src/operations/delta/plan.js';
import { predictionsBetween } from '../../../src/operations/delta/predictions.js';
import { verifyDelta } from '../../../src/operations/delta/verify.js';
import { withModels } from '../../../src/operations/open.js';
import { manifestOf, write } from '../../formats/mlck/files.js';
import { floats } from '../../kernels/samples.js';
import { testContext } from '../../support/context.js';
import { memoryFiles } from '../../support/memory-files.js';

const folder = mkdtempSync(path.join(tmpdir(), 'mlser-adam-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});
const at = (name: string): string => path.join(folder, name);
const fixture = (name: string): string => `fixtures/deltas/adam/${name}.pt`;
const STEPS = at('digits');
const digits = (step: number): string =>
  `fixtures/trained/digits_cnn/checkpoints/step0${step}.pt`;
const context = testContext();

const loaded = <T>(names: readonly string[], use: (models: readonly Model[]) => Promise<T>): Promise<T> =>
  withModels(names, context, (opened) => use(opened.map(({ model }) => model)));

const contentOf = (file: string, bases: readonly string[] = []): Promise<string> =>
  withModels([file], { ...context, bases }, async ([opened]) => (await hashModel(opened!.model, context)).content);

const predictionsIn = async (file: string): Promise<Map<string, Prediction>> => {
  const { tensors } = await manifestOf(readFileSync(file));
  return new Map(tensors.flatMap(({ name, prediction }) => (prediction ? [[name, prediction]] : [])));
};
