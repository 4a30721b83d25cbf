import type { Model } from '../core/model.js';
import type { SyncTransform } from '../core/transform.js';
import { MlserError } from '../errors.js';
import { mapTensorRefs } from './state-refs.js';

export interface SelectOptions {
  readonly keep: (name: string) => boolean;
}

/**
 * Keeps the tensors whose names pass; the training state keeps its shape, with `none` where a tensor went.
 *
 * @example
 * select({ keep: (name) => name.startsWith('encoder.') }).apply(model)
 */
export function select({ keep }: SelectOptions): SyncTransform {
  return {
    name: 'select tensors',
    apply(model: Model): Model {
      const tensors = model.tensors.filter((tensor) => keep(tensor.info.name));
      if (tensors.length === model.tensors.length) return model;
      if (model.graph)
        throw new MlserError('E_UNSUPPORTED', 'tensors of a graph cannot be left out: its nodes need them', {
          hint: 'choose a format without a graph, for example out.safetensors',
        });
      const left = new Set(tensors.map((tensor) => tensor.info.name));
      return {
        ...model,
        tensors,
        aliases: survivingAliases(model.aliases, left),
        ...(model.training
          ? {
              training: {
                ...model.training,
                tree: mapTensorRefs(model.training.tree, (ref) =>
                  left.has(ref.name) ? ref : { kind: 'none' },
                ),
              },
            }
          : {}),
      };
    },
  };
}

/** Where the canonical tensor went but aliases stay, the first of them becomes the canonical one. */
function survivingAliases(
  aliases: ReadonlyMap<string, string>,
  left: ReadonlySet<string>,
): ReadonlyMap<string, string> {
  const heads = new Map<string, string>();
  const out = new Map<string, string>();
  for (const [alias, canonical] of aliases) {
    if (!left.has(alias)) continue;
    const head = left.has(canonical) ? canonical : heads.get(canonical);
    if (head === undefined) heads.set(canonical, alias);
    else out.set(alias, head);
  }
  return out;
}
