import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { checksumModel } from '../../src/operations/checksum.js';
import { convertModel } from '../../src/operations/convert.js';
import { metaEdit, metaGet } from '../../src/operations/meta.js';
import { testContext } from '../support/context.js';

const MODEL = fileURLToPath(new URL('../../fixtures/trained/digits_cnn/model.onnx', import.meta.url));
const context = testContext(1);
const root = mkdtempSync(path.join(tmpdir(), 'mlser-meta-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const weights = { validate: 'weights', device: 'cpu' } as const;
const edit = (file: string) =>
  metaEdit(file, { set: new Map([['task', 'digits']]) }, { validate: 'run', device: 'cpu' }, context);

it.each([
  ['external data', { externalData: true }, 'model.onnx.data'],
  ['weights in a safetensors file', { weightsFile: 'w.safetensors' }, 'w.safetensors'],
])('a graph with %s is edited without its data', async (_, options, data) => {
  const folder = mkdtempSync(path.join(root, 'external-'));
  const file = path.join(folder, 'model.onnx');
  await convertModel(MODEL, file, { ...weights, ...options }, context);
  const before = statSync(path.join(folder, data));
  const { content } = await checksumModel(file, context);
  const report = await edit(file);
  expect(report.validation).toMatchObject({ passed: true, level: 'run' });
  expect(readdirSync(folder).sort()).toEqual(['model.onnx', data].sort());
  expect(statSync(path.join(folder, data))).toMatchObject({
    ino: before.ino,
    mtimeMs: before.mtimeMs,
    nlink: 1,
  });
  expect((await metaGet(file, ['task'], context)).metadata).toEqual({ task: 'digits' });
  expect((await checksumModel(file, context)).content).toBe(content);
});

it('data that is a link is written again', async () => {
  const folder = mkdtempSync(path.join(root, 'linked-'));
  const file = path.join(folder, 'model.onnx');
  await convertModel(MODEL, file, { ...weights, externalData: true }, context);
  mkdirSync(path.join(folder, 'store'));
  copyFileSync(`${file}.data`, path.join(folder, 'store/1'));
  rmSync(`${file}.data`);
  symlinkSync('store/1', `${file}.data`);
  expect((await edit(file)).validation.passed).toBe(true);
  expect((await metaGet(file, ['task'], context)).metadata).toEqual({ task: 'digits' });
});
