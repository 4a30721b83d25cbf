import { MlserError } from '../../errors.js';
import { PASSES } from '../../graph/optimize/index.js';
import { LEVELS, type Level, type Pass } from '../../graph/optimize/pass.js';
import type { PassList } from './report.js';

export interface PassChoice {
  readonly level?: Level | undefined;
  /** Only these. */
  readonly passes?: readonly string[];
  /** All but these. */
  readonly skip?: readonly string[];
}

/** The passes of a level, or those named, in the order in which they run. E_USAGE for a name that is not known. */
export function choosePasses({ level = 'extended', passes, skip = [] }: PassChoice): readonly Pass[] {
  for (const name of [...(passes ?? []), ...skip]) checkName(name);
  const upTo = LEVELS.indexOf(level);
  return PASSES.filter(({ name, level: own }) =>
    skip.includes(name) ? false : passes ? passes.includes(name) : LEVELS.indexOf(own) <= upTo,
  );
}

function checkName(name: string): void {
  if (PASSES.some((pass) => pass.name === name)) return;
  throw new MlserError('E_USAGE', `there is no pass ${JSON.stringify(name)}`, {
    details: { pass: name, known: PASSES.map((pass) => pass.name) },
    hint: 'mlser optimize --list shows them all',
  });
}

export const listPasses = (): PassList => ({
  command: 'optimize',
  passes: PASSES.map(({ name, level, summary }) => ({ name, level, summary })),
});
