import type { Model } from '../core/model.js';
import { MlserError } from '../errors.js';

/** `--include` and `--exclude`: regular expressions on tensor names. */
export interface TensorSelection {
  readonly include?: readonly RegExp[];
  readonly exclude?: readonly RegExp[];
}

/** True if the name matches one of `include` (or there is none) and none of `exclude`. */
export const selects = ({ include = [], exclude = [] }: TensorSelection, name: string): boolean =>
  (include.length === 0 || include.some((re) => re.test(name))) && !exclude.some((re) => re.test(name));

export const isSelecting = ({ include = [], exclude = [] }: TensorSelection): boolean =>
  include.length + exclude.length > 0;

/** A selection that no tensor of the model passes is a slip of the pen. @throws E_USAGE */
export function refuseEmptySelection(model: Model, selection: TensorSelection): void {
  if (!isSelecting(selection) || model.tensors.length === 0) return;
  if (model.tensors.some((tensor) => selects(selection, tensor.info.name))) return;
  const names = model.tensors.slice(0, 5).map((tensor) => tensor.info.name);
  throw new MlserError(
    'E_USAGE',
    `--include and --exclude leave none of the ${model.tensors.length} tensors`,
    {
      details: { tensors: names },
      hint: `names are for example ${names.map((name) => JSON.stringify(name)).join(', ')}`,
    },
  );
}
