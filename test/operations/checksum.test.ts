import { createHash } from 'node:crypto';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { checkManifest } from '../../src/operations/check-manifest.js';
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
