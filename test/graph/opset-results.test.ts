import { describe, expect, it } from 'vitest';
import { protoOf } from '../../src/formats/onnx/summary.js';
import { encodeModel } from '../../src/graph/build.js';
import { convertOpset } from '../../src/graph/opset.js';
import { OPSET_CASES } from './opset-cases.js';
import { bytesOf, difference, openBytes, runOn } from './opset-support.js';

/** Half a step of single precision at the values that occur, and room for another order of sums. */
const TOLERANCE = 2e-6;

describe('a graph in another operator set gives what it gave', () => {
  for (const { name, from, to, model, ops } of OPSET_CASES)
    it(`${name}, ${from} → ${to.join(', ')}`, async () => {
      const source = await encodeModel(model);
      const shape = model.inputs[0]!.shape.map(Number);
      const expected = await runOn(source, shape);
      for (const target of to) {
        const converted = await convertOpset(await openBytes(source), target);
        const bytes = await bytesOf(converted.model);
        const reopened = await openBytes(bytes);
        expect(reopened.findings, `opset ${target}`).toEqual([]);
        expect(reopened.graph!.opsets.get('')).toBe(target);
        expect(reopened.tensors.map(({ info }) => info)).toEqual(
          converted.model.tensors.map(({ info }) => info),
        );
        expect(difference(expected, await runOn(bytes, shape)), `opset ${target}`).toBeLessThan(TOLERANCE);
        if (ops !== undefined && target === to.at(-1))
          expect(protoOf(reopened.graph!).graph!.node.map(({ opType }) => opType)).toEqual(ops.split(' '));
      }
    });
});
