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
