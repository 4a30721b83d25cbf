import { parseSize, parseTargetSize, type TargetSize } from '../../core/size.js';
import { isMlserError } from '../../errors.js';
import { isJsonMap } from '../../io/json.js';
import type { JsonTree } from '../../io/json-reader.js';
import { nearest } from './nearest.js';
import { inside, type Place, refused } from './place.js';

/** A value that a recipe may hold: how it is read, and what an editor is told about it. */
export interface Field<T> {
  readonly title: string;
  /** JSON Schema of the value, without its description. */
  readonly schema: Readonly<Record<string, unknown>>;
  /** @throws E_USAGE that names the place. */
  read(value: JsonTree, at: Place): T;
  /** Names a file that is read: what it holds belongs to the identity of a step. */
  readonly names?: 'file';
}

export type Fields = Readonly<Record<string, Field<unknown>>>;

/** What was read of fields: only those that are there. */
export type ValuesOf<F extends Fields> = {
  readonly [K in keyof F]?: F[K] extends Field<infer T> ? T : never;
};

const shown = (value: JsonTree): string => {
  if (isJsonMap(value)) return 'an object';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'bigint' ? String(value) : JSON.stringify(value);
};

const textOf = (value: JsonTree, at: Place): string => {
  if (typeof value === 'string' && value !== '') return value;
  throw refused(at, `is ${shown(value)}, where a text was needed`, 'write it in double quotes');
};

export const text = (title: string): Field<string> => ({
  title,
  schema: { type: 'string', minLength: 1 },
  read: textOf,
});

/** A file that is read, relative to the recipe. */
export const file = (title: string): Field<string> => ({ ...text(title), names: 'file' });

export const flag = (title: string): Field<boolean> => ({
  title,
  schema: { type: 'boolean' },
  read(value, at) {
    if (typeof value === 'boolean') return value;
    throw refused(at, `is ${shown(value)}, where true or false was needed`, 'write true or false');
  },
});

export const number = (
  title: string,
  { min = 0, max }: { readonly min?: number; readonly max?: number } = {},
): Field<number> => ({
  title,
  schema: { type: 'number', minimum: min, ...(max === undefined ? {} : { maximum: max }) },
  read(value, at) {
    const range = max === undefined ? `from ${min} up` : `from ${min} to ${max}`;
    if (typeof value !== 'number')
      throw refused(at, `is ${shown(value)}, where a number was needed`, `write a number ${range}`);
    if (Number.isFinite(value) && value >= min && value <= (max ?? Number.POSITIVE_INFINITY)) return value;
    throw refused(at, `is ${value}`, `write a number ${range}`);
  },
});

export const integer = (title: string, min = 1): Field<number> => ({
  title,
  schema: { type: 'integer', minimum: min },
  read(value, at) {
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min) return value;
    throw refused(
      at,
      `is ${shown(value)}, where a whole number from ${min} up was needed`,
      'write for example 4',
    );
  },
});

/** Bytes, as a number or as a text that `parse` reads. */
const sizeField = <T>(title: string, pattern: string, parse: (text: string) => T): Field<T | number> => ({
  title,
  schema: { type: ['integer', 'string'], minimum: 1, pattern },
  read(value, at) {
    if (typeof value === 'number' && Number.isSafeInteger(value) && value > 0) return value;
    if (typeof value === 'string')
      try {
        return parse(value);
      } catch (error) {
        if (!isMlserError(error)) throw error;
      }
    throw refused(
      at,
      `is ${shown(value)}, which is no size`,
      'write bytes, or a text like "200KB" or "4GiB"',
    );
  },
});

/** `200KB`, `4GiB`. */
export const size = (title: string): Field<number> =>
  sizeField(title, '^\\s*\\d+(\\.\\d+)?\\s*[A-Za-z]*\\s*$', parseSize);

/** The same, or `60%` of the input of the step. */
export const targetSize = (title: string): Field<TargetSize> =>
  sizeField(title, '^\\s*\\d+(\\.\\d+)?\\s*([A-Za-z]*|%)\\s*$', parseTargetSize);

export const choice = <T extends string | number>(title: string, known: readonly T[]): Field<T> => ({
  title,
  schema: { enum: known },
  read(value, at) {
    const found = known.find((one) => one === value);
    if (found !== undefined) return found;
    const near = typeof value === 'string' ? nearest(value, known.map(String)) : undefined;
    const meant = near === undefined ? '' : `did you mean ${JSON.stringify(near)}? `;
    throw refused(
      at,
      `is ${shown(value)}`,
      `${meant}allowed: ${known.map((one) => JSON.stringify(one)).join(', ')}`,
    );
  },
});

export const list = <T>(of: Field<T>): Field<readonly T[]> => ({
  title: of.title,
  schema: { type: 'array', items: of.schema },
  read(value, at) {
    if (Array.isArray(value)) return value.map((item: JsonTree, i) => of.read(item, inside(at, i)));
    throw refused(
      at,
      `is ${shown(value)}, where a list was needed`,
      'write [ … ], also around a single value',
    );
  },
});

/** A text that a parser of ours takes: what it says about it is said of the place. */
export const parsed = <T>(title: string, parse: (text: string) => T): Field<T> => ({
  title,
  schema: { type: 'string', minLength: 1 },
  read(value, at) {
    try {
      return parse(textOf(value, at));
    } catch (error) {
      if (!isMlserError(error) || error.details['at'] !== undefined) throw error;
      throw refused(
        at,
        `is ${shown(value)}: ${error.message}`,
        error.hint ?? 'write it as on the command line',
      );
    }
  },
});

/** Regular expressions on the names of tensors, as `--include` takes them. */
export const patterns = (title: string): Field<readonly RegExp[]> =>
  list({
    title,
    schema: { type: 'string', format: 'regex' },
    read(value, at) {
      const source = textOf(value, at);
      for (const flags of ['u', ''])
        try {
          return new RegExp(source, flags);
        } catch {
          // Told below.
        }
      throw refused(
        at,
        `is ${shown(value)}, which is no regular expression`,
        'a plain part of the name works',
      );
    },
  });

/** An object of texts. */
export const texts = (title: string): Field<ReadonlyMap<string, string>> => ({
  title,
  schema: { type: 'object', additionalProperties: { type: 'string' } },
  read(value, at) {
    if (!isJsonMap(value))
      throw refused(at, `is ${shown(value)}, where an object was needed`, 'write { "key": "value" }');
    return new Map([...value].map(([key, item]) => [key, textOf(item, inside(at, key))]));
  },
});

/** Reads the values of an object that are among `fields`; what is not known is refused, with the nearest that is. */
export function readFields<F extends Fields>(
  value: JsonTree,
  at: Place,
  fields: F,
  required: readonly (keyof F & string)[] = [],
): ValuesOf<F> {
  if (!isJsonMap(value)) throw refused(at, `is ${shown(value)}, where an object was needed`, 'write { … }');
  const known = Object.keys(fields);
  const values: Record<string, unknown> = {};
  for (const [key, item] of value) {
    const field = Object.hasOwn(fields, key) ? fields[key] : undefined;
    if (!field) throw unknownKey(inside(at, key), key, known);
    values[key] = field.read(item, inside(at, key));
  }
  for (const key of required)
    if (values[key] === undefined)
      throw refused(at, `lacks ${JSON.stringify(key)}`, `${key}: ${fields[key]?.title ?? ''}`);
  return values as ValuesOf<F>;
}

function unknownKey(at: Place, key: string, known: readonly string[]): Error {
  const near = nearest(key, known);
  const meant = near === undefined ? '' : `did you mean ${JSON.stringify(near)}? `;
  return refused(at, 'is not known', `${meant}known here: ${known.join(', ')}`);
}
