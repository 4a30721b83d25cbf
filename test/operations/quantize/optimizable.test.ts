import { writeFileSync } from 'node:fs';
import { afterAll, expect, it } from 'vitest';
import { encodeModel } from '../../../src/graph/build.js';
import { withModel } from '../../../src/operations/open.js';
import { wouldGo } from '../../../src/operations/quantize/optimizable.js';
import { startRuntime } from '../../../src/runtime/process.js';
import { testContext } from '../../support/context.js';
import { ownFolder } from '../../support/folders.js';

const at = ownFolder('optimizable');
const runtime = startRuntime();
afterAll(() => runtime.close());

it('says which nodes of a model optimize would take out', async () => {
  const kernel = new Uint8Array(Float32Array.from({ length: 9 }, (_, i) => i / 9).buffer);
  const pads = new Uint8Array(BigInt64Array.from([0, 0, 1, 1, 0, 0, 1, 1], BigInt).buffer);
  const image = { dtype: 'f32', shape: [1, 1, 6, 6] } as const;
  const bytes = await encodeModel({
    opset: 17,
    irVersion: 8,
    inputs: [{ name: 'x', ...image }],
    outputs: [{ name: 'y', ...image }],
    initializers: [
      { name: 'w', dtype: 'f32', shape: [1, 1, 3, 3], raw: kernel },
      { name: 'pads', dtype: 'i64', shape: [8], raw: pads },
    ],
    nodes: [
      { op: 'Pad', inputs: ['x', 'pads'], outputs: ['a'] },
      { op: 'Conv', inputs: ['a', 'w'], outputs: ['b'] },
      { op: 'Sigmoid', inputs: ['b'], outputs: ['c'] },
      { op: 'Pad', inputs: ['c', 'pads'], outputs: ['d'] },
      { op: 'Conv', inputs: ['d', 'w'], outputs: ['y'] },
    ],
  });
  const file = at('padded.onnx');
  writeFileSync(file, bytes);
  await withModel(file, testContext(1), async (opened) => {
    expect(await wouldGo(opened, new Set(['Pad', 'Sigmoid', 'Relu']), runtime)).toEqual(['2 Pad']);
    expect(await wouldGo(opened, new Set(['Relu']), runtime)).toEqual([]);
  });
});
