import * as path from 'node:path';
import type { WorkContext } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import { MlserError } from '../../errors.js';
import type { Values } from '../../runtime/values.js';
import type { Candidate } from './candidates.js';
import { valuesModel, writePlain } from './files.js';
import { type GateCheck, gateFailure } from './gate-check.js';
import type { Failure } from './outcome.js';
import type { PartModels } from './part-models.js';
import { runCommand, wantsFeeds } from './run-command.js';

/** A part as it can be checked: with what its inputs are fed, where that is known. */
export interface Part {
  readonly model: Model;
  readonly feeds: Values | undefined;
}

/** How a part fails; undefined: it does not. */
export type Check = (part: Part) => Promise<Failure | undefined>;

/** A candidate with types and feeds; undefined where it cannot be made, so that it does not fail either. */
export async function partOf(
  candidate: Candidate,
  models: PartModels,
  feedsOf: (names: readonly string[]) => Promise<Values | undefined>,
): Promise<Part | undefined> {
  if (candidate.count === 0 || candidate.outputs.length === 0) return undefined;
  const feeds = await feedsOf(candidate.inputs);
  const model = await models.of(candidate, feeds);
  return model && { model, feeds };
}

/** The runtime's answer. Without feeds a part is only loaded. */
export const byGate =
  (gate: GateCheck): Check =>
  ({ model, feeds }) =>
    gateFailure(gate, model, feeds);

export interface CommandCheck {
  readonly command: string;
  readonly timeoutMs: number;
  /** Only this exit code is the failure; else every one but 0. */
  readonly failCode?: number;
  /** Only if what the command says has this in it. */
  readonly failText?: RegExp;
}

/** Shells say so of commands that are not there, or cannot be run. */
const NOT_RUN = new Set([126, 127]);

/** The user's command over the part in a file. */
export function byCommand(check: CommandCheck, folder: string, context: WorkContext): Check {
  const model = path.join(folder, 'candidate.onnx');
  const feeds = path.join(folder, 'candidate.npz');
  return async (part) => {
    await writePlain(part.model, model, 'onnx', context);
    if (wantsFeeds(check.command)) {
      if (!part.feeds) return undefined;
      await writePlain(valuesModel(part.feeds), feeds, 'npz', context);
    }
    return commandFailure(check, { model, feeds }, context);
  };
}

export async function commandFailure(
  { command, timeoutMs, failCode, failText }: CommandCheck,
  paths: { readonly model: string; readonly feeds: string },
  { signal }: WorkContext,
): Promise<Failure | undefined> {
  const result = await runCommand(command, paths, timeoutMs, signal);
  signal?.throwIfAborted();
  const { code, timedOut, text } = result;
  const last = text.trim().split('\n').at(-1)?.trim() ?? '';
  if (code !== null && NOT_RUN.has(code) && failCode !== code)
    throw new MlserError('E_USAGE', `--check: the command could not be run (exit code ${code}): ${last}`, {
      details: { command, code },
      hint: 'it is a line for sh, in which {} stands for the path of the model',
    });
  if (timedOut)
    return failCode === undefined && !failText
      ? { kind: 'command', key: 'time', text: `no answer in ${timeoutMs / 1000} s` }
      : undefined;
  if (code === 0 || (failCode !== undefined && code !== failCode) || (failText && !failText.test(text)))
    return undefined;
  const how = code === null ? `signal ${result.signal ?? ''}` : `exit code ${code}`;
  return { kind: 'command', key: 'exit', text: last === '' ? how : `${how}: ${last}` };
}
