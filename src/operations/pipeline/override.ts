import { isMlserError, MlserError } from '../../errors.js';
import { isJsonMap, parseJson } from '../../io/json.js';
import type { JsonTree } from '../../io/json-reader.js';

/** A value that takes the place of one in a recipe. */
export interface Override {
  /** JSON pointer (RFC 6901). */
  readonly pointer: string;
  readonly value: JsonTree;
}

/**
 * `/steps/0/sparsity=0.3`, or `output=small.onnx` for a key of the recipe itself. A value that is JSON is taken as that,
 * anything else as text. E_USAGE.
 */
export function parseRecipeOverride(text: string): Override {
  const at = text.indexOf('=');
  if (at < 1)
    throw new MlserError('E_USAGE', `--set ${JSON.stringify(text)} is not pointer=value`, {
      hint: 'write for example /steps/0/sparsity=0.3',
    });
  const [key, value] = [text.slice(0, at), text.slice(at + 1)];
  return { pointer: key.startsWith('/') ? key : `/${key}`, value: jsonOrText(value) };
}

function jsonOrText(text: string): JsonTree {
  try {
    return parseJson(Buffer.from(text), '--set');
  } catch (error) {
    if (!isMlserError(error)) throw error;
    return text;
  }
}

/** The document with the values in their places. E_USAGE for a place that cannot be. */
export const overridden = (document: JsonTree, overrides: readonly Override[]): JsonTree =>
  overrides.reduce(
    (tree, { pointer, value }) =>
      placed(
        tree,
        pointer
          .split('/')
          .slice(1)
          .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~')),
        value,
        pointer,
      ),
    document,
  );

function placed(
  tree: JsonTree | undefined,
  tokens: readonly string[],
  value: JsonTree,
  pointer: string,
): JsonTree {
  const [token, ...rest] = tokens;
  if (token === undefined) return value;
  if (tree === undefined) return new Map([[token, placed(undefined, rest, value, pointer)]]);
  if (isJsonMap(tree)) return new Map([...tree, [token, placed(tree.get(token), rest, value, pointer)]]);
  const index = token === '-' && Array.isArray(tree) ? tree.length : Number(token);
  if (!Array.isArray(tree) || !/^(-|0|[1-9]\d*)$/.test(token) || index > tree.length)
    throw new MlserError('E_USAGE', `--set ${pointer}: there is no such place in the recipe`, {
      details: { at: pointer },
      hint: 'a JSON pointer counts from 0: /steps/0/sparsity',
    });
  const items: JsonTree[] = [...tree];
  items[index] = placed(items[index], rest, value, pointer);
  return items;
}
