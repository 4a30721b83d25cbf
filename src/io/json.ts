import { type JsonOptions, JsonReader, type JsonTree } from './json-reader.js';

/** A whole document as a tree. Duplicate keys are E_MALFORMED. */
export function parseJson(bytes: Uint8Array, name: string, options: JsonOptions = {}): JsonTree {
  const reader = new JsonReader(bytes, name, options);
  const tree = reader.value();
  reader.end();
  return tree;
}

export const isJsonMap = (value: JsonTree | undefined): value is ReadonlyMap<string, JsonTree> =>
  value instanceof Map;

/** JSON text of a tree without white space, keys in their order, bigints exact; not-finite numbers as null. */
export function formatJson(value: JsonTree): string {
  if (typeof value === 'bigint') return value.toString();
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (value instanceof Map)
    return `{${[...value].map(([key, item]) => `${JSON.stringify(key)}:${formatJson(item)}`).join(',')}}`;
  return `[${[...(value as readonly JsonTree[])].map(formatJson).join(',')}]`;
}
