import { writeFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { memoryTensor } from '../../../src/core/tensor.js';
import { attributeProto, encodeModel, type NodeDescription } from '../../../src/graph/build.js';
import type { GramRequest, GramSource } from '../../../src/graph/quantize/types.js';
import { withModel } from '../../../src/operations/open.js';
import { layerFeeds } from '../../../src/operations/quantize/calibration/grams.js';
import { testContext } from '../../support/context.js';
import { modelOf, scratch, write } from '../../validate/support.js';

const { at, remove } = scratch();
afterAll(remove);

const values = (count: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => ((i * 7919) % 101) / 50 - 1);

/** A graph of one node, its samples, and the Gram matrices of sources. */
async function grams(
  node: NodeDescription,
  shape: readonly (number | string)[],
  data: readonly number[],
  requests: readonly (readonly GramSource[])[],
  windowBytes?: number,
): Promise<{ found: Float64Array[]; x: Float32Array; runs: number }> {
  const x = values(data.reduce((product, size) => product * size, 1));
  writeFileSync(
    at('model.onnx'),
    await encodeModel({
      opset: 17,
      nodes: [node],
      inputs: [{ name: 'x', dtype: 'f32', shape }],
      outputs: [{ name: 'y', dtype: 'f32', shape }],
    }),
  );
  const samples = memoryTensor({ name: 'x', dtype: 'f32', shape: data }, new Uint8Array(x.buffer));
  await write(modelOf([samples]), at('x.npz'), 'npz');
  const wanted = requests.map(
    (sources, i): GramRequest => ({ key: `${i}`, size: sources[0]?.size ?? 0, sources }),
  );
  const found: Float64Array[] = [];
  let runs = 0;
  const progress = {
    stage(_: string, total = 0) {
      runs = total;
    },
    advance() {},
  };
  await withModel(at('model.onnx'), {}, ({ model, files }) =>
    layerFeeds({
      ...{ files, data: at('x.npz'), context: { ...testContext(1), progress } },
      ...(windowBytes === undefined ? {} : { windowBytes }),
    }).grams(model, wanted, async (key, gram) => {
      expect(key).toBe(`${found.length}`);
      found.push(gram.slice());
    }),
  );
  return { found, x, runs };
}

/** XᵀX of rows. */
function gramOf(rows: readonly ArrayLike<number>[], size: number): Float64Array {
  const gram = new Float64Array(size * size);
  for (const row of rows)
    for (let i = 0; i < size; i++)
      for (let j = 0; j < size; j++)
        gram[i * size + j] = (gram[i * size + j] ?? 0) + (row[i] ?? 0) * (row[j] ?? 0);
  return gram;
}

const cut = (x: Float32Array, size: number): Float32Array[] =>
  Array.from({ length: x.length / size }, (_, i) => x.subarray(i * size, (i + 1) * size));

function expectNear(found: Float64Array | undefined, expected: Float64Array): void {
  expect(found?.length).toBe(expected.length);
  expected.forEach((value, i) => void expect(Math.abs((found?.[i] ?? 9e9) - value)).toBeLessThan(1e-11));
}

const relu: NodeDescription = { op: 'Relu', inputs: ['x'], outputs: ['y'] };
const row = (value: string, size: number): GramSource => ({ id: value, value, size });

describe('Gram matrices of what layers are fed with', () => {
  it('are those of all rows of all samples, of inputs and of what nodes make', async () => {
    const { found, x } = await grams(relu, ['n', 3, 5], [150, 3, 5], [[row('y', 5)], [row('x', 5)]]);
    expectNear(
      found[0],
      gramOf(
        cut(
          x.map((value) => Math.max(0, value)),
          5,
        ),
        5,
      ),
    );
    expectNear(found[1], gramOf(cut(x, 5), 5));
  });

  it('do not count what fills up a fixed batch', async () => {
    const { found, x } = await grams(relu, [4, 3], [10, 3], [[row('x', 3)]]);
    expectNear(found[0], gramOf(cut(x, 3), 3));
  });

  it('are added where a weight is multiplied with several values', async () => {
    const { found, x } = await grams(relu, ['n', 6], [8, 6], [[row('x', 6), row('y', 6)], [row('y', 6)]]);
    const positive = x.map((value) => Math.max(0, value));
    expectNear(found[0], gramOf([...cut(x, 6), ...cut(positive, 6)], 6));
    expectNear(found[1], gramOf(cut(positive, 6), 6));
  });

  it('are the same window by window', async () => {
    const requests = [[row('x', 6)], [row('y', 6)], [row('x', 6), row('y', 6)]];
    const once = await grams(relu, ['n', 6], [130, 6], requests);
    const thrice = await grams(relu, ['n', 6], [130, 6], requests, 1);
    expect(once.runs).toBe(3);
    expect(thrice.runs).toBe(9);
    expect(thrice.found).toEqual(once.found);
  });

  it('of Conv are those of the patches that its kernel sees', async () => {
    const [channels, height, width] = [2, 6, 5];
    const attributes = { strides: [2n, 1n], pads: [1n, 0n, 2n, 1n], dilations: [1n, 2n] };
    const source: GramSource = {
      ...{ id: 'w', value: 'x', size: channels * 3 * 2 },
      patches: {
        shape: [channels, 3, 2],
        attributes: Object.entries(attributes).map(([name, value]) => attributeProto(name, value)),
      },
    };
    const { found, x } = await grams(
      relu,
      ['n', channels, height, width],
      [70, channels, height, width],
      [[source]],
    );
    const rows: number[][] = [];
    for (const sample of cut(x, channels * height * width))
      for (let top = -1; top + 2 < height + 2; top += 2)
        for (let left = 0; left + 2 < width + 1; left++) {
          const patch: number[] = [];
          for (let c = 0; c < channels; c++)
            for (let i = 0; i < 3; i++)
              for (let j = 0; j < 2; j++) {
                const [h, w] = [top + i, left + 2 * j];
                const inside = h >= 0 && h < height && w < width;
                patch.push(inside ? (sample[(c * height + h) * width + w] ?? 0) : 0);
              }
          rows.push(patch);
        }
    expectNear(found[0], gramOf(rows, source.size));
  });
});
