import type { WorkContext } from '../../core/format.js';
import { type Finding, isMlserError } from '../../errors.js';
import { hashModel } from '../hashes.js';
import { type OpenContext, withModel } from '../open.js';
import type { DeltaVerifyReport } from './report.js';
import { isRunFolder, readRun } from './run-index.js';

type Check = DeltaVerifyReport['checks'][number];

/**
 * Unfolds every tensor of a native checkpoint, a delta or all steps of a run folder, and holds it against its SHA-256 and
 * the whole against its content id. Damage is an answer (`ok: false`), not a failure.
 */
export async function verifyDelta(
  input: string,
  context: WorkContext & OpenContext,
): Promise<DeltaVerifyReport> {
  const started = performance.now();
  const findings: Finding[] = [];
  const checks: Check[] = [];
  const steps = (await isRunFolder(input))
    ? (await readRun(input)).steps.map(({ name, content }) => ({ name, input: `${input}@${name}`, content }))
    : [{ name: input, input, content: undefined }];
  for (const step of steps) checks.push(await check(step, context, findings));
  return {
    command: 'delta verify',
    path: input,
    passed: checks.every(({ ok }) => ok),
    checks,
    findings,
    seconds: (performance.now() - started) / 1000,
  };
}

async function check(
  step: { readonly name: string; readonly input: string; readonly content: string | undefined },
  context: WorkContext & OpenContext,
  findings: Finding[],
): Promise<Check> {
  const { name } = step;
  try {
    return await withModel(step.input, context, async ({ model, files }) => {
      const { content } = await hashModel(model, context);
      await files.assertUnchanged();
      findings.push(...model.findings.filter(({ severity }) => severity !== 'info'));
      const expected = step.content ?? model.recordedContent;
      const ok = expected === undefined || expected === content;
      if (ok) return { name, ok, content };
      const message = `its tensors have content ${content}, not ${expected}`;
      return { name, ok, content, error: { code: 'E_INTEGRITY', message } };
    });
  } catch (error) {
    if (!isMlserError(error)) throw error;
    // A file of a run folder that is gone says something of the run.
    const lost = step.content !== undefined && error.code === 'E_NOT_FOUND';
    if (!lost && !ANSWERS.has(error.code)) throw error;
    return { name, ok: false, content: null, error: { code: error.code, message: error.message } };
  }
}

/** Errors that say that something does not verify; others say that it could not be looked at. */
const ANSWERS: ReadonlySet<string> = new Set([
  'E_INTEGRITY',
  'E_BASE_MISMATCH',
  'E_MALFORMED',
  'E_TRUNCATED',
]);
