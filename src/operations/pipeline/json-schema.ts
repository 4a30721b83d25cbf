import type { Field, Fields } from './fields.js';
import { LANGUAGE, stepFields } from './recipe.js';
import { STEPS } from './steps.js';

type Schema = Readonly<Record<string, unknown>>;

/**
 * The JSON Schema (draft 2020-12) of recipes, made of the same tables that recipes are read with:
 * `schemas/pipeline.schema.json` is its text. Editors complete and explain with it what we check.
 */
export const recipeSchema = (): Schema => ({
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  $id: 'urn:mlser:pipeline',
  title: 'Recipe of mlser pipeline',
  description: 'What becomes of a model, step by step. Paths are relative to this file.',
  ...objectOf(LANGUAGE.recipe, ['steps']),
  $defs: {
    gate: objectOf(LANGUAGE.gate, []),
    ...Object.fromEntries(
      STEPS.map((kind) => [
        kind.id,
        {
          title: kind.id,
          description: kind.title,
          ...objectOf(stepFields(kind), ['do', ...(kind.required ?? [])]),
          ...(kind.anyOf ? { anyOf: kind.anyOf.map((key) => ({ required: [key] })) } : {}),
        },
      ]),
    ),
  },
});

const objectOf = (fields: Fields, required: readonly string[]): Schema => ({
  type: 'object',
  properties: Object.fromEntries(Object.entries(fields).map(([key, field]) => [key, described(field)])),
  ...(required.length > 0 ? { required } : {}),
  additionalProperties: false,
});

const described = ({ title, schema }: Field<unknown>): Schema => ({ ...schema, description: title });
