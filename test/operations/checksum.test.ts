import { createHash } from 'node:crypto';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { checkManifest } from '../../src/operations/check-manifest.js';
import { checksumModel } from '../../src/operations/checksum.js';
import { testContext } from '../support/context.js';

const MODEL = fileURLToPath(new URL('../../fixtures/trained/digits_cnn/model.safetensors', import.meta.url));
const folder = mkdtempSync(path.join(tmpdir(), 'mlser-checksum-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const model = path.join(folder, 'a (1).safetensors');
copyFileSync(MODEL, model);
const hash = createHash('sha256').update(readFileSync(model)).digest('hex');

it.each([
  ['text', `${hash}  a (1).safetensors`],
  ['binary', `${hash} *a (1).safetensors`],
  ['tagged', `SHA256 (a (1).safetensors) = ${hash}`],
])('the lines of sha256sum are understood: %s', async (style, line) => {
  const manifest = path.join(folder, `${style}.sums`);
  writeFileSync(manifest, `${line}\n`);
  const check = { kind: 'file', name: 'a (1).safetensors', expected: hash, found: hash, ok: true };
  expect(await checkManifest(manifest, [], testContext(1))).toMatchObject({ passed: true, checks: [check] });
  writeFileSync(
    manifest,
    `${line.replaceAll(
      hash,
      hash.replace(/./, (c) => (c === '0' ? '1' : '0')),
    )}\n`,
  );
  expect(await checkManifest(manifest, [], testContext(1))).toMatchObject({ passed: false });
});

describe('a JSON manifest', () => {
  const write = async (name: string, inputs: readonly string[]): Promise<string> => {
    const documents = [];
    for (const input of inputs) documents.push(await checksumModel(input, testContext(1)));
    const file = path.join(folder, name);
    writeFileSync(file, JSON.stringify(documents.length === 1 ? documents[0] : documents));
    return file;
  };
  const failed = async (manifest: string): Promise<string[]> => {
    const report = await checkManifest(manifest, [], testContext(1));
    expect(report.passed).toBe(report.checks.every(({ ok }) => ok));
    return report.checks.filter(({ ok }) => !ok).map(({ name }) => name);
  };

  it('may describe several models', async () => {
    const second = path.join(folder, 'second.safetensors');
    copyFileSync(MODEL, second);
    const manifest = await write('two.json', [model, second]);
    expect(await failed(manifest)).toEqual([]);
    rmSync(second);
    expect(await failed(manifest)).toEqual(['second.safetensors', 'content id']);
  });

  it('says no for a model that cannot be read any more', async () => {
    const cut = path.join(folder, 'cut.safetensors');
    copyFileSync(MODEL, cut);
    const manifest = await write('cut.json', [cut]);
    writeFileSync(cut, readFileSync(cut).subarray(0, 5000));
    expect(await failed(manifest)).toEqual(['cut.safetensors', 'content id', expect.any(String)]);
    writeFileSync(cut, '');
    expect(await failed(manifest)).toEqual(['cut.safetensors', 'content id']);
    await expect(checkManifest(manifest, [`${cut}.not`], testContext(1))).rejects.toMatchObject({
      code: 'E_NOT_FOUND',
    });
  });
});
