import { MlserError } from '../../errors.js';
import { isFolder, joinPath } from '../../io/disk.js';
import { findStep, isRunFolder, readRun } from './run-index.js';

/**
 * The file of a step of a run folder: `runs/exp1@step-180`, `runs/exp1@180`, `runs/exp1@last`, or the folder alone for its
 * last step. Undefined where the input is no such thing.
 *
 * @throws E_NOT_FOUND naming the steps that there are.
 */
export async function resolveRun(input: string): Promise<string | undefined> {
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(input)) return undefined;
  const at = input.lastIndexOf('@');
  const folder = at > 0 ? input.slice(0, at) : input;
  const wanted = at > 0 ? input.slice(at + 1) : 'last';
  if (!(await isRunFolder(folder))) {
    if (at <= 0 || !(await isRunFolder(input))) return undefined;
    return stepFile(input, 'last'); // the folder itself has an @ in its name
  }
  if (at > 0 && isFolder(input) && (await isRunFolder(input))) return stepFile(input, 'last');
  return stepFile(folder, wanted);
}

async function stepFile(folder: string, wanted: string): Promise<string> {
  const run = await readRun(folder);
  const step = findStep(run, wanted);
  if (step) return joinPath(folder, step.file);
  const names = run.steps.map(({ name }) => name);
  throw new MlserError('E_NOT_FOUND', `${folder} holds no step ${JSON.stringify(wanted)}`, {
    details: { input: folder, step: wanted, steps: names.slice(-20) },
    hint:
      names.length === 0
        ? `add one with mlser delta add <checkpoint> --to ${folder}`
        : `it holds ${names.length}: ${names.slice(0, 3).join(', ')}${names.length > 3 ? `, … ${names.at(-1)}` : ''}`,
  });
}
