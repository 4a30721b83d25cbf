import type { Model } from '../core/model.js';
import { renamed } from '../core/tensor.js';
import type { StateNode } from '../core/training.js';
import type { SyncTransform } from '../core/transform.js';
import { MlserError } from '../errors.js';
import { mapTensorRefs } from './state-refs.js';

export interface RenameOptions {
  /** New name of a tensor. */
  readonly rename: (name: string) => string;
}

/**
 * Gives tensors other names. Two tensors may not end up with the same one.
 *
 * @example
 * rename({ rename: (name) => name.replace(/^module\./, '') }).apply(model)
 */
export function rename({ rename: newName }: RenameOptions): SyncTransform {
  return {
    name: 'rename',
    apply(model: Model): Model {
      const names = new Map<string, string>();
      const taken = new Map<string, string>();
      for (const { info } of model.tensors) {
        const to = newName(info.name);
        const other = taken.get(to);
        if (other !== undefined)
          throw new MlserError(
            'E_USAGE',
            `tensors ${JSON.stringify(other)} and ${JSON.stringify(info.name)} would both be named ${JSON.stringify(to)}`,
            { details: { tensor: info.name, name: to }, hint: 'make the pattern of --rename more specific' },
          );
        taken.set(to, info.name);
        names.set(info.name, to);
      }
      const to = (name: string): string => names.get(name) ?? name;
      if (model.graph && [...names].some(([before, after]) => before !== after))
        throw new MlserError(
          'E_UNSUPPORTED',
          'the tensors of a graph cannot be renamed: its nodes refer to them',
          {
            hint: 'rename weights on their way into the graph: convert weights out.onnx --graph model.onnx --rename …',
          },
        );
      const tree: StateNode | undefined =
        model.training && mapTensorRefs(model.training.tree, (node) => ({ ...node, name: to(node.name) }));
      return {
        ...model,
        tensors: model.tensors.map((tensor) => renamed(tensor, to(tensor.info.name))),
        aliases: new Map([...model.aliases].map(([alias, canonical]) => [to(alias), to(canonical)])),
        ...(model.training && tree ? { training: { ...model.training, tree } } : {}),
      };
    },
  };
}

/**
 * A substitution as sed writes it: `s/pattern/replacement/flags`, any delimiter; `$1` and `\1` are groups.
 * E_USAGE if it is not one.
 */
export function parseSubstitution(text: string): (name: string) => string {
  const bad = (why: string): MlserError =>
    new MlserError('E_USAGE', `--rename ${JSON.stringify(text)}: ${why}`, {
      hint: "write it as 's/pattern/replacement/', for example 's/^module\\.//'",
    });
  const delimiter = text[1];
  if (text[0] !== 's' || delimiter === undefined || /[\w\s\\]/.test(delimiter))
    throw bad('is not a substitution');
  const parts: string[] = [''];
  for (let i = 2; i < text.length; i++) {
    const char = text[i] ?? '';
    if (char === '\\' && text[i + 1] === delimiter) {
      parts[parts.length - 1] += delimiter;
      i++;
    } else if (char === '\\') {
      parts[parts.length - 1] += char + (text[++i] ?? '');
    } else if (char === delimiter) parts.push('');
    else parts[parts.length - 1] += char;
  }
  const [pattern, replacement, flags = '', ...rest] = parts;
  if (pattern === undefined || replacement === undefined || rest.length > 0)
    throw bad('needs three delimiters');
  if (!/^[giu]*$/.test(flags)) throw bad(`unknown flags ${flags}`);
  let re: RegExp;
  try {
    re = new RegExp(pattern, flags);
  } catch (error) {
    throw bad((error as Error).message);
  }
  const substitute = replacement.replace(/\\(\d)/g, '$$$1');
  return (name) => name.replace(re, substitute);
}
