import * as path from 'node:path';
import { isJsonMap } from '../../io/json.js';
import type { JsonTree } from '../../io/json-reader.js';
import type { Fields } from './fields.js';
import { LANGUAGE, type Recipe } from './recipe.js';

const PATHS = new Set(['input', 'output']);

/**
 * The recipe as it is stored in its output: without what only this machine knows. Paths that lead out of the recipe's
 * folder become the last name in them, addresses lose passwords and queries, `$schema` goes.
 */
export function portable({ document, steps }: Recipe): ReadonlyMap<string, JsonTree> {
  const entries = [...document].flatMap(([key, value]): [string, JsonTree][] => {
    if (key === '$schema') return [];
    if (key === 'gate') return [[key, withPortable(value, LANGUAGE.gate)]];
    if (key === 'steps')
      return [
        [key, steps.map((step) => withPortable(step.document, { ...LANGUAGE.gate, ...step.kind.fields }))],
      ];
    return [[key, PATHS.has(key) && typeof value === 'string' ? portablePath(value) : value]];
  });
  return new Map(entries);
}

const withPortable = (tree: JsonTree, fields: Fields): JsonTree =>
  isJsonMap(tree)
    ? new Map(
        [...tree].map(([key, value]) => [
          key,
          fields[key]?.names !== undefined && typeof value === 'string' ? portablePath(value) : value,
        ]),
      )
    : tree;

export function portablePath(target: string): string {
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(target)) {
    const { protocol, host, pathname } = new URL(target);
    return protocol === 'file:' ? path.posix.basename(pathname) : `${protocol}//${host}${pathname}`;
  }
  const leads = path.normalize(target);
  const out = path.isAbsolute(leads) || /^[A-Za-z]:[\\/]/.test(leads) || leads.split(/[\\/]/)[0] === '..';
  return out ? (target.split(/[\\/]/).filter(Boolean).at(-1) ?? target) : target;
}
