import { existsSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { PASSES } from '../../src/graph/optimize/index.js';
import type { Pass } from '../../src/graph/optimize/pass.js';
import { startRuntime } from '../../src/runtime/process.js';
import { withSubject } from '../support/optimized.js';

/**
 * Every model that the runtime loads gives the same after each pass that finds something in it, and after all of them.
 * The fixtures by default; MLSER_BACKEND_DATA=folder takes every .onnx below it (the onnx package's backend data), with
 * the inputs that lie beside each. What the runtime does not run as it is is skipped, and counted.
 */
const FIXTURES = fileURLToPath(new URL('../../fixtures', import.meta.url));
const root = process.env['MLSER_BACKEND_DATA'] ?? FIXTURES;
/** Half precision: what is rounded elsewhere differs by more. */
const TOLERANCE = 1e-5;
const HALF_TOLERANCE = 1e-2;

const modelsBelow = (folder: string): string[] =>
  readdirSync(folder)
    .sort()
    .flatMap((name) => {
      const at = path.join(folder, name);
      if (statSync(at).isDirectory()) return name === 'hostile' ? [] : modelsBelow(at);
      return name.endsWith('.onnx') ? [at] : [];
    });

const runtime = startRuntime();
afterAll(() => runtime.close());

describe('optimized models give what they gave', () => {
  const models = existsSync(root) ? modelsBelow(root) : [];
  it('has models', () => expect(models.length).toBeGreaterThan(10));
  it.for(models.map((file) => [path.relative(root, file), file] as const))(
    '%s',
    async ([label, file], { skip }) => {
      await withSubject(
        file,
        runtime,
        async ({ opened, optimized }) => {
          const half = opened.model.tensors.some(({ info }) => /^b?f16$/.test(info.dtype));
          const ops = opened.model.graph?.ops ?? new Map<string, number>();
          const limit = half || ops.has('Cast') ? HALF_TOLERANCE : TOLERANCE;
          const check = async (passes: readonly Pass[], what: string) => {
            const outcome = await optimized(passes);
            expect(outcome.needed, `${label} after ${what}`).toBeLessThanOrEqual(limit);
            return outcome;
          };
          const all = await check(PASSES, 'all passes');
          if (all.rewrites.size > 1)
            for (const pass of PASSES) if (all.rewrites.has(pass.name)) await check([pass], pass.name);
        },
        (why) => skip(why.slice(0, 200)),
      );
    },
  );
});
