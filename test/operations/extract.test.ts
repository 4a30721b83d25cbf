import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { encodeModel } from '../../src/graph/build.js';
import { parseCut } from '../../src/graph/parse-cut.js';
import { extractPart } from '../../src/operations/extract.js';
import { withModel } from '../../src/operations/open.js';
import { testContext } from '../support/context.js';
import { at } from './broken-models.js';

const context = testContext(1);

describe('a part of a file', () => {
  it('has the types that only the runtime can tell, and says so where it cannot', async () => {
    const shape = ['n', 3];
    for (const [name, op] of [
      ['gelu.onnx', 'FastGelu'],
      ['unknown.onnx', 'NoSuchOperator'],
    ] as const)
      writeFileSync(
        at(name),
        await encodeModel({
          opset: 17,
          domains: new Map([['com.microsoft', 1]]),
          inputs: [{ name: 'x', dtype: 'f32', shape }],
          nodes: [
            { op: 'Neg', inputs: ['x'], outputs: ['minus'] },
            { op, domain: 'com.microsoft', inputs: ['minus'], outputs: ['odd'] },
            { op: 'Relu', inputs: ['odd'], outputs: ['y'] },
          ],
          outputs: [{ name: 'y', dtype: 'f32', shape }],
        }),
      );
    const partOf = (file: string, cut: string) =>
      withModel(at(file), context, async ({ model, files }) => {
        const { graph } = await extractPart(model, files, parseCut(cut, model), context);
        return { nodes: graph?.nodes, inputs: graph?.inputs, outputs: graph?.outputs };
      });
    expect(await partOf('gelu.onnx', 'odd:y')).toEqual({
      nodes: 1,
      inputs: [{ name: 'odd', dtype: 'f32', shape }],
      outputs: [{ name: 'y', dtype: 'f32', shape }],
    });
    expect(await partOf('gelu.onnx', ':odd')).toMatchObject({
      nodes: 2,
      outputs: [{ name: 'odd', dtype: 'f32' }],
    });
    await expect(partOf('unknown.onnx', 'odd:y')).rejects.toThrow(
      expect.objectContaining({ code: 'E_UNSUPPORTED', message: expect.stringContaining('"odd"') }),
    );
    // What is known needs no runtime.
    expect(await partOf('unknown.onnx', ':minus')).toMatchObject({ nodes: 1, inputs: [{ name: 'x' }] });
  });
});
