import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { quantizeModel } from '../../../src/operations/quantize/quantize.js';
import { SCHEMES } from '../../../src/operations/quantize/schemes.js';
import { TRAINED } from '../../support/cli.js';
import { testContext } from '../../support/context.js';

const folder = mkdtempSync(path.join(tmpdir(), 'mlser-threads-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => path.join(TRAINED, name);

const bytesOf = async (scheme: string, input: string, extension: string, threads: number) => {
  const output = path.join(folder, `${scheme}-${threads}.${extension}`);
  const options = { scheme, validate: 'structure', device: 'cpu', calibration: at('calib.npz') } as const;
  await quantizeModel(at(input), output, options, testContext(threads));
  return readFileSync(output);
};

describe('the same bytes at any number of threads', () => {
  const graphs = SCHEMES.filter(({ graph }) => graph).map(({ id }) => id);
  it.each(graphs)('%s of a graph', async (scheme) => {
    const [one, three] = [
      await bytesOf(scheme, 'model.onnx', 'onnx', 1),
      await bytesOf(scheme, 'model.onnx', 'onnx', 3),
    ];
    expect(three.equals(one)).toBe(true);
  });
  const plain = SCHEMES.filter(({ tensors }) => tensors).map(({ id }) => id);
  it.each(plain)('%s of weights', async (scheme) => {
    const [one, three] = [
      await bytesOf(scheme, 'model.safetensors', 'safetensors', 1),
      await bytesOf(scheme, 'model.safetensors', 'safetensors', 3),
    ];
    expect(three.equals(one)).toBe(true);
  });
});
