import type { MetadataValue, Model } from '../../core/model.js';
import { PROVENANCE_KEYS, RECIPE_KEY } from '../../core/provenance.js';
import { isMlserError, MlserError } from '../../errors.js';
import { formatJson, isJsonMap, parseJson } from '../../io/json.js';
import type { JsonTree } from '../../io/json-reader.js';
import { packageVersion } from '../../io/version.js';
import { metadata } from '../../transforms/metadata.js';
import type { OpenContext } from '../open.js';
import { withModel } from '../open.js';
import { portable } from './portable.js';
import type { Recipe } from './recipe.js';
import type { StepEntry } from './report.js';

/**
 * The model with what it was made by: the recipe and the figures of its steps as JSON text under RECIPE_KEY, and the
 * content id of the input. Nothing of it changes from run to run.
 */
export const withProvenance = (
  model: Model,
  recipe: Recipe,
  steps: readonly StepEntry[],
  parent: string,
): Model =>
  metadata({
    set: new Map<string, MetadataValue>([
      [PROVENANCE_KEYS.parent, parent],
      [RECIPE_KEY, formatJson(recordOf(recipe, steps))],
    ]),
  }).apply(model);

const recordOf = (recipe: Recipe, steps: readonly StepEntry[]): JsonTree =>
  new Map<string, JsonTree>([
    ['mlser', packageVersion()],
    ['recipe', portable(recipe)],
    ['steps', steps.map(figuresOf)],
  ]);

function figuresOf({ do: id, bytesOut, figures, validation }: StepEntry): JsonTree {
  const { accuracy } = validation ?? {};
  return new Map<string, JsonTree>([
    ['do', id],
    ...(bytesOut === null ? [] : ([['bytes', bytesOut]] as const)),
    ...Object.entries(figures),
    ...(accuracy?.before === undefined ? [] : ([['accuracyBefore', accuracy.before]] as const)),
    ...(accuracy ? ([['accuracyAfter', accuracy.after]] as const) : []),
  ]);
}

/** What `--from` gives: the recipe that made a model, as JSON. E_NOT_FOUND, E_MALFORMED. */
export const recipeOf = (input: string, context: OpenContext): Promise<ReadonlyMap<string, JsonTree>> =>
  withModel(input, context, async ({ model }) => {
    const stored = model.metadata.get(RECIPE_KEY);
    if (typeof stored !== 'string')
      throw new MlserError('E_NOT_FOUND', `${input} does not say by which recipe it was made`, {
        details: { input, key: RECIPE_KEY },
        hint: 'recipes are kept in what mlser pipeline writes: ONNX, safetensors and mlck files',
      });
    const recipe = recipeIn(stored, input);
    if (!recipe)
      throw new MlserError('E_MALFORMED', `${input}: ${RECIPE_KEY} holds no recipe`, { details: { input } });
    return recipe;
  });

function recipeIn(stored: string, input: string): ReadonlyMap<string, JsonTree> | undefined {
  try {
    const record = parseJson(Buffer.from(stored), input, { what: RECIPE_KEY });
    const recipe = isJsonMap(record) ? record.get('recipe') : undefined;
    return isJsonMap(recipe) ? recipe : undefined;
  } catch (error) {
    if (!isMlserError(error)) throw error;
    return undefined;
  }
}
