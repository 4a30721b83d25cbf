import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { isMlserError } from '../../src/errors.js';
import { inspectModel } from '../../src/operations/inspect.js';
import { testContext } from '../support/context.js';
import { mutations, prefixes } from '../support/mutate.js';

/**
 * Damaged copies of every fixture end in a model or in a coded error, within the time of the test.
 * Here a sample; `npm run fuzz` takes many more mutations, `npm run fuzz:prefixes` every prefix of every file.
 */
const PER_FILE = Number(process.env['MLSER_MUTATIONS'] ?? 12);
const PREFIXES = Number(process.env['MLSER_PREFIXES'] ?? PER_FILE);
const MAX_BYTES = Number(process.env['MLSER_FUZZ_BYTES'] ?? 60_000);

const root = path.resolve('fixtures');
const scratch = mkdtempSync(path.join(tmpdir(), 'mlser-mutation-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((file) => /\.(safetensors|onnx|pt|pth|bin|npz|npy|mlck)$/.test(file) && !file.startsWith('hostile'))
  .filter((file) => statSync(path.join(root, file)).size <= MAX_BYTES);

function* damaged(whole: Uint8Array, seed: string): Generator<Uint8Array> {
  yield* prefixes(whole, PREFIXES);
  yield* mutations(whole, PER_FILE, seed);
}

describe('damaged copies of fixtures', () => {
  it('has fixtures to damage', () => expect(files.length).toBeGreaterThan(20));

  it.each(files)('%s', async (file) => {
    const whole = readFileSync(path.join(root, file));
    const copy = path.join(scratch, path.basename(file));
    for (const bytes of damaged(whole, file)) {
      writeFileSync(copy, bytes);
      const started = performance.now();
      try {
        await inspectModel(copy, { hashes: true }, testContext(1));
      } catch (error) {
        if (!isMlserError(error)) {
          writeFileSync(path.join(tmpdir(), 'mlser-mutation-failure.bin'), bytes);
          throw error;
        }
      }
      expect(performance.now() - started).toBeLessThan(5_000);
    }
    expect(process.memoryUsage().rss).toBeLessThan(512 * 1024 * 1024);
  });
});
