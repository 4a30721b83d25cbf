import * as path from 'node:path';
import { isMlserError, MlserError } from '../../errors.js';
import { openDisk } from '../../io/disk.js';
import { isJsonMap, parseJson } from '../../io/json.js';
import type { JsonTree } from '../../io/json-reader.js';
import { DEVICES } from '../../runtime/devices.js';
import type { ValidationLevel } from '../../validate/report.js';
import {
  choice,
  type Field,
  type Fields,
  file,
  list,
  number,
  readFields,
  size,
  text,
  type ValuesOf,
} from './fields.js';
import { nearest } from './nearest.js';
import { type Override, overridden } from './override.js';
import { inside, type Place, refused } from './place.js';
import type { StepKind } from './step-kind.js';
import { STEPS, stepById } from './steps.js';

const LEVELS = ['none', 'structure', 'weights', 'run'] as const satisfies readonly ValidationLevel[];

/** What is proved of a result, by which data. */
export const GATE_FIELDS = {
  validate: choice('how much is proved (default run)', LEVELS),
  device: choice('where it runs (default cpu)', DEVICES),
  inputs: file('npz with named arrays to run with (default: generated)'),
  labels: text('array of class numbers in the inputs: the accuracy is told'),
  tolerance: number('outputs may differ by t + t·|value|'),
  maxAccuracyDrop: number('the accuracy may sink by so much'),
};

const WHOLE_GATE = {
  ...GATE_FIELDS,
  maxSize: size('the output may have so many bytes'),
};

export type Gate = ValuesOf<typeof GATE_FIELDS>;
export type WholeGate = ValuesOf<typeof WHOLE_GATE>;

/** One step, as it runs. */
export interface Step {
  readonly kind: StepKind;
  readonly name?: string;
  readonly gate: Gate;
  readonly values: Readonly<Record<string, unknown>>;
  /** As the recipe has it. */
  readonly document: JsonTree;
  /** Files that it reads. */
  readonly files: readonly string[];
}

/** What `do` is written beside. */
export const stepFields = (kind: StepKind): Fields => ({
  do: choice('what the step does', [kind.id]),
  name: text('what this step is called in the report'),
  ...(kind.kind === 'writes' || kind.gated ? GATE_FIELDS : {}),
  ...kind.fields,
});

const gate: Field<WholeGate> = {
  title:
    'what the output is held to, next to the input; data and level count for every step that does not say otherwise',
  schema: { $ref: '#/$defs/gate' },
  read: (value, at) => readFields(value, at, WHOLE_GATE),
};

const step: Field<Omit<Step, 'files'>> = {
  title: 'done in order, each with what the one before it gave',
  schema: {
    type: 'object',
    properties: { do: { enum: STEPS.map(({ id }) => id) } },
    required: ['do'],
    allOf: STEPS.map(({ id }) => ({
      if: { properties: { do: { const: id } }, required: ['do'] },
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
      then: { $ref: `#/$defs/${id}` },
    })),
  },
  read(value, at) {
    const id = isJsonMap(value) ? value.get('do') : undefined;
    const known = STEPS.map((one) => one.id);
    if (id === undefined)
      throw refused(
        at,
        'does not say what to "do"',
        `write { "do": "prune", … }; known: ${known.join(', ')}`,
      );
    const kind = typeof id === 'string' ? stepById(id) : undefined;
    if (!kind) {
      const near = nearest(String(id), known);
      throw refused(
        inside(at, 'do'),
        `is ${JSON.stringify(String(id))}, which is no step`,
        `${near === undefined ? '' : `did you mean ${JSON.stringify(near)}? `}known: ${known.join(', ')}`,
      );
    }
    const all = readFields(value, at, stepFields(kind), kind.required ?? []);
    if (kind.anyOf?.every((key) => all[key] === undefined))
      throw refused(
        at,
        `lacks ${kind.anyOf.map((key) => JSON.stringify(key)).join(' or ')}`,
        kind.anyOf.map((key) => `${key}: ${kind.fields[key]?.title ?? ''}`).join('; '),
      );
    const own = Object.entries(all).filter(
      ([key]) => key !== 'do' && key !== 'name' && !(key in GATE_FIELDS),
    );
    const shared = Object.entries(all).filter(([key]) => key in GATE_FIELDS);
    return {
      kind,
      ...(typeof all['name'] === 'string' ? { name: all['name'] } : {}),
      gate: Object.fromEntries(shared),
      values: Object.fromEntries(own),
      document: value,
    };
  },
};

const RECIPE = {
  $schema: text('the JSON Schema of recipes, for editors'),
  version: choice('of the recipe language', [1] as const),
  name: text('what the recipe is for, in a few words'),
  description: text('… and at more length'),
  input: text('the model: a path relative to the recipe, or an http(s) address'),
  output: text('where the result goes, relative to the recipe'),
  to: text('format of the output (default: by its extension)'),
  gate,
  steps: { ...list(step), schema: { ...list(step).schema, minItems: 1 } },
};

/** The parts of the language that its JSON Schema is made of. */
export const LANGUAGE = { recipe: RECIPE, gate: WHOLE_GATE };

export interface Recipe {
  /** As the user named it. */
  readonly file: string;
  readonly name?: string;
  readonly input?: string;
  readonly output?: string;
  readonly to?: string;
  readonly gate: WholeGate;
  readonly steps: readonly Step[];
  /** All of it, with what was overridden. */
  readonly document: ReadonlyMap<string, JsonTree>;
}

/** What a step is held to: its own words, and the level and data of the whole where it has none. */
export function gateOf(
  { gate: whole }: Recipe,
  { gate: own }: Step,
): Gate & Required<Pick<Gate, 'validate' | 'device'>> {
  const { validate = 'run', device = 'cpu', inputs, labels } = whole;
  return {
    validate,
    device,
    ...(inputs === undefined ? {} : { inputs }),
    ...(labels === undefined ? {} : { labels }),
    ...own,
  };
}

/** Recipes are written by people. */
const MOST_BYTES = 1 << 20;

/** Reads and checks a recipe. E_NOT_FOUND, E_MALFORMED for what is no JSON, E_USAGE for what is no recipe. */
export async function readRecipe(name: string, overrides: readonly Override[] = []): Promise<Recipe> {
  const source = openDisk(name, name);
  try {
    if (source.size > MOST_BYTES)
      throw new MlserError('E_LIMIT', `${name} has ${source.size} bytes: too many for a recipe`, {
        details: { file: name, bytes: source.size },
        hint: 'name the recipe, a JSON file',
      });
    return parseRecipe(await source.read(0, source.size), { file: name, overrides });
  } finally {
    source.close();
  }
}

/** @throws E_MALFORMED, with a hint for who named a model. */
function treeOf(bytes: Uint8Array, name: string): JsonTree {
  try {
    return parseJson(bytes, name, { what: 'recipe', entry: 'key' });
  } catch (error) {
    if (!isMlserError(error) || /^\s*[{[]/.test(Buffer.from(bytes.subarray(0, 256)).toString('latin1')))
      throw error;
    throw new MlserError(error.code, error.message, {
      details: error.details,
      hint: `a recipe is a JSON file; that of a model: mlser pipeline --from ${name}`,
    });
  }
}

export interface RecipeOptions {
  /** How the recipe is called in messages; files that it names are found from its folder. */
  readonly file?: string;
  readonly overrides?: readonly Override[];
}

/** A recipe of its JSON text. */
export function parseRecipe(
  json: string | Uint8Array,
  { file: name = 'recipe.json', overrides = [] }: RecipeOptions = {},
): Recipe {
  const bytes = typeof json === 'string' ? Buffer.from(json) : json;
  const document = overridden(treeOf(bytes, name), overrides);
  const at: Place = { file: name, pointer: '' };
  const values = readFields(document, at, RECIPE, ['steps']);
  if (values.steps?.length === 0) throw refused(inside(at, 'steps'), 'is empty', 'write at least one step');
  const from = (target: string): string => besideRecipe(name, target);
  const { input, output, to, name: title } = values;
  return {
    file: name,
    ...(title === undefined ? {} : { name: title }),
    ...(input === undefined ? {} : { input: from(input) }),
    ...(output === undefined ? {} : { output: from(output) }),
    ...(typeof to === 'string' ? { to } : {}),
    gate: located(WHOLE_GATE, values.gate ?? {}, from).values,
    steps: (values.steps ?? []).map((one) => {
      const own = located(one.kind.fields, one.values, from);
      const shared = located(GATE_FIELDS, one.gate, from);
      return { ...one, values: own.values, gate: shared.values, files: [...own.files, ...shared.files] };
    }),
    document: document as ReadonlyMap<string, JsonTree>,
  };
}

const ADDRESS = /^[a-z][a-z0-9+.-]+:\/\//i;

/** A path of the recipe from where we are. A slash at its end stays: it says that it is a folder. */
function besideRecipe(recipe: string, target: string): string {
  if (ADDRESS.test(target) || path.isAbsolute(target)) return target;
  return path.join(path.dirname(recipe), target);
}

/** Values with their files found, and the list of these. */
function located<V extends object>(
  fields: Fields,
  values: V,
  from: (target: string) => string,
): { readonly values: V; readonly files: readonly string[] } {
  const files: string[] = [];
  const entries = Object.entries(values).map(([key, value]) => {
    if (fields[key]?.names === undefined) return [key, value] as const;
    const found = from(String(value));
    files.push(found);
    return [key, found] as const;
  });
  return { values: Object.fromEntries(entries) as V, files };
}
