import { readdirSync, readFileSync } from 'node:fs';
import { InferenceSession } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { extract } from '../../src/graph/extract.js';
import { madeValues } from '../../src/graph/made-values.js';
import { bytesOf, openBytes } from '../graph/opset-support.js';

/** Graphs in one file; every so many values are taken out of each. */
const GRAPHS = readdirSync('fixtures/onnx').filter((name) => name.endsWith('.onnx'));
const STEP = 7;

const loads = (bytes: Uint8Array): Promise<boolean> =>
  InferenceSession.create(bytes, { graphOptimizationLevel: 'disabled', logSeverityLevel: 4 }).then(
    async (session) => {
      await session.release();
      return true;
    },
    () => false,
  );

describe('parts of every fixture graph', () => {
  it.each(GRAPHS)('load as the whole does, and hold no more than they need: %s', async (name) => {
    const whole = readFileSync(`fixtures/onnx/${name}`);
    const model = await openBytes(whole);
    const values = madeValues(model);
    const taken = values.filter((_, i) => i % STEP === 0 || i === values.length - 1);
    const runs = await loads(whole);
    for (const { name: value } of taken) {
      const part = extract(model, { outputs: [value] });
      expect(part.graph?.nodes).toBeLessThanOrEqual(model.graph?.nodes ?? 0);
      // Opened again by our reader, which refuses names that nothing defines and what has no type.
      const bytes = await bytesOf(part);
      if (part.graph?.outputs.every(({ dtype }) => dtype !== 'unknown')) {
        const again = await openBytes(bytes);
        expect(again.tensors.map(({ info }) => info)).toEqual(part.tensors.map(({ info }) => info));
      }
      if (runs) expect(await loads(bytes), value).toBe(true);
    }
    expect(taken.length).toBeGreaterThan(0);
  });
});
