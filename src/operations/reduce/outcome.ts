import type { MlserError } from '../../errors.js';

/**
 * How a graph fails. `refused`: the runtime does not load it; `fails`: it stops with an error while it runs;
 * `crashes`: its process ends; `hangs`: no answer in time; `not-finite`: finite inputs give NaN or infinities; `differs`:
 * outputs differ from the reference's; `command`: the user's command says so.
 */
export const FAILURES = ['command', 'differs', 'not-finite', 'refused', 'fails', 'crashes', 'hangs'] as const;
export type FailureKind = (typeof FAILURES)[number];

export interface Failure {
  readonly kind: FailureKind;
  /** For people. */
  readonly text: string;
  /** What must be equal for a failure to be the same one. */
  readonly key: string;
}

export const isSame = (a: Failure | undefined, b: Failure): boolean => a?.kind === b.kind && a.key === b.key;

/** What the runtime said, or how it ended. */
export function refusalOf(
  error: MlserError,
  while_: 'loading' | 'running',
  text: RegExp | undefined,
): Failure {
  const { crashed, timedOut, runtime, log } = error.details;
  const kind = crashed ? 'crashes' : timedOut ? 'hangs' : while_ === 'loading' ? 'refused' : 'fails';
  const said = String(runtime ?? log ?? '');
  // With a pattern the message decides; without one its words do, names, numbers and places apart.
  const key = text ? String(text.test(error.message)) : kind === 'crashes' ? '' : words(said);
  return { kind, text: error.message, key };
}

/** A message without what changes with the graph around: names in quotes, sizes, positions. */
const words = (message: string): string =>
  message
    .replace(/: tensor\([^)]*\)/g, '')
    .replace(/^Load model from .*? failed:/, '')
    .replace(/'[^']*'|"[^"]*"/g, "''")
    .replace(/-?\d+/g, '0')
    .replace(/(,?0)+/g, '0')
    .replace(/\s+/g, ' ')
    .trim();
