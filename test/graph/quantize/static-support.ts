import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Model } from '../../../src/core/model.js';
import { protoOf } from '../../../src/formats/onnx/summary.js';
import { encodeModel, type ModelDescription, type TensorDescription } from '../../../src/graph/build.js';
import { int8Static } from '../../../src/graph/quantize/static.js';
import type { ActivationRanges, Quantized, QuantizeSettings } from '../../../src/graph/quantize/types.js';
import { withModel } from '../../../src/operations/open.js';
import { calibrate } from '../../../src/operations/quantize/calibrate.js';
import { testContext } from '../../support/context.js';
import { write } from '../../validate/support.js';

export const fixture = (name: string): string =>
  fileURLToPath(new URL(`../../../fixtures/${name}`, import.meta.url));

export const settings = (more: Partial<QuantizeSettings> = {}): QuantizeSettings => ({
  selects: () => true,
  ...more,
});

export interface Made extends Quantized {
  /** Where the quantized model was written. */
  readonly file: string;
  readonly ranges: ActivationRanges;
  /** Operators in the order of the graph. */
  readonly ops: readonly string[];
}

/** A folder with models in it. */
export class Workshop {
  readonly folder = mkdtempSync(path.join(tmpdir(), 'mlser-static-'));
  #count = 0;

  at(name: string): string {
    return path.join(this.folder, name);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  async model(description: ModelDescription): Promise<string> {
    const file = this.at(`m${this.#count++}.onnx`);
    writeFileSync(file, await encodeModel(description));
    return file;
  }

  /** Calibrated with samples (or made-up ones) through the runtime, quantized and written. */
  quantize(source: string, more: Partial<QuantizeSettings> = {}, data?: string): Promise<Made> {
    return withModel(source, {}, async (opened) => {
      const wanted = settings(more);
      const names = (await int8Static.activations?.(opened.model, wanted)) ?? [];
      const { ranges } = await calibrate(
        opened,
        names,
        {
          scheme: 'int8-static',
          validate: 'none',
          device: 'cpu',
          ...(data === undefined ? {} : { calibration: data }),
        },
        testContext(1),
      );
      const made = await int8Static.apply(opened.model, wanted, ranges);
      const file = this.at(`q${this.#count++}.onnx`);
      await write(made.model, file, 'onnx');
      return { ...made, file, ranges, ops: opsOf(made.model) };
    });
  }

  /** Operators of the graph that the runtime makes of a file, by number. */
  async kernels(file: string): Promise<Record<string, number>> {
    const optimized = this.at(`o${this.#count++}.onnx`);
    const session = await InferenceSession.create(file, {
      optimizedModelFilePath: optimized,
      graphOptimizationLevel: 'all',
      logSeverityLevel: 4,
    });
    await session.release();
    return withModel(optimized, {}, async ({ model }) => {
      const ops = model.graph?.ops ?? new Map<string, number>();
      return Object.fromEntries([...ops].map(([name, n]) => [name.replace(/^.*::/, ''), n]));
    });
  }

  async run(file: string, feeds: Readonly<Record<string, Tensor>>): Promise<Record<string, Float32Array>> {
    const session = await InferenceSession.create(file, { logSeverityLevel: 4 });
    const results = await session.run(feeds);
    await session.release();
    return Object.fromEntries(
      Object.entries(results).map(([name, value]) => [name, (value as Tensor).data as Float32Array]),
    );
  }
}

export const opsOf = (model: Model): string[] =>
  model.graph ? (protoOf(model.graph).graph?.node ?? []).map(({ opType = '' }) => opType) : [];

export const f32 = (
  name: string,
  shape: readonly number[],
  values: readonly number[],
): TensorDescription => ({
  name,
  dtype: 'f32',
  shape,
  raw: new Uint8Array(Float32Array.from(values).buffer),
});

export const fed = (values: readonly number[], dims: readonly number[]): Tensor =>
  new Tensor('float32', Float32Array.from(values), dims);
