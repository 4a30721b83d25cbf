import * as path from 'node:path';
import type { JsonTree } from '../io/json-reader.js';
import { type Override, parseRecipeOverride } from '../operations/pipeline/override.js';

/** Options that take the place of what a recipe says. */
export interface RecipeFlags {
  readonly set?: readonly string[];
  readonly input?: string;
  readonly output?: string;
  readonly to?: string;
  readonly validate?: string;
  readonly device?: string;
  readonly inputs?: string;
  readonly labels?: string;
  readonly tolerance?: number;
  readonly maxAccuracyDrop?: number;
  readonly maxSize?: number;
}

const GATE = ['validate', 'device', 'labels', 'tolerance', 'maxAccuracyDrop', 'maxSize'] as const;

/** First those of `--set`, then those that have an option of their own. */
export function overridesOf(recipe: string, flags: RecipeFlags): readonly Override[] {
  const values: [string, JsonTree | undefined][] = [
    ['/input', besideRecipe(recipe, flags.input)],
    ['/output', besideRecipe(recipe, flags.output)],
    ['/to', flags.to],
    ['/gate/inputs', besideRecipe(recipe, flags.inputs)],
    ...GATE.map((key): [string, JsonTree | undefined] => [`/gate/${key}`, flags[key]]),
  ];
  const own = values.flatMap(([pointer, value]): Override[] =>
    value === undefined ? [] : [{ pointer, value }],
  );
  return [...(flags.set ?? []).map(parseRecipeOverride), ...own];
}

/** A path of the command line as the recipe would have it: a recipe counts from its own folder. */
function besideRecipe(recipe: string, target: string | undefined): string | undefined {
  if (target === undefined || /^[a-z][a-z0-9+.-]+:\/\//i.test(target) || path.isAbsolute(target))
    return target;
  const found = path.relative(path.dirname(recipe), target) || '.';
  return /[\\/]$/.test(target) ? `${found}${path.sep}` : found;
}
