import { tensorMap } from '../core/model.js';
import type { TensorSource } from '../core/tensor.js';
import { MlserError } from '../errors.js';
import { openInput } from '../formats/open.js';

/** Named arrays of a file that the user gave (feeds, expected outputs): an npz, or any format with named tensors. */
export interface ArrayFile {
  readonly name: string;
  readonly arrays: ReadonlyMap<string, TensorSource>;
  close(): Promise<void>;
}

export async function openArrays(path: string): Promise<ArrayFile> {
  const { files, descriptor } = await openInput(path);
  try {
    const model = await (await descriptor.reader()).read(files, {});
    return { name: path, arrays: tensorMap(model), close: () => files.close() };
  } catch (error) {
    await files.close();
    throw error;
  }
}

/** Runs `work` on the arrays of a file, or on undefined where none is named, and closes it whatever happens. */
export async function withArrays<T>(
  path: string | undefined,
  work: (file: ArrayFile | undefined) => Promise<T>,
): Promise<T> {
  if (path === undefined) return work(undefined);
  const file = await openArrays(path);
  try {
    return await work(file);
  } finally {
    await file.close();
  }
}

/** Names as exporters and archives rewrite them: only letters and digits count. */
const plain = (name: string): string => name.replace(/[^A-Za-z0-9]/g, '').toLowerCase();

/**
 * The array for every wanted name. A name that is not there is looked up without its punctuation. `inOrder`: where
 * nothing matches and as many arrays as names are there, their order decides.
 */
export function matchNames(
  wanted: readonly string[],
  arrays: ReadonlyMap<string, TensorSource>,
  options: { readonly inOrder?: boolean } = {},
): ReadonlyMap<string, TensorSource> {
  const found = new Map<string, TensorSource>();
  const byPlain = new Map<string, TensorSource | undefined>();
  for (const [name, array] of arrays) {
    const key = plain(name);
    byPlain.set(key, byPlain.has(key) ? undefined : array);
  }
  for (const name of wanted) {
    const array = arrays.get(name) ?? byPlain.get(plain(name));
    if (array) found.set(name, array);
  }
  if (!options.inOrder || found.size > 0 || arrays.size !== wanted.length) return found;
  const all = [...arrays.values()];
  return new Map(wanted.flatMap((name, i) => (all[i] ? [[name, all[i]] as const] : [])));
}

/** Says what is there when something else was needed. */
export function missingArrays(file: ArrayFile, what: string, missing: readonly string[]): MlserError {
  const list = (names: readonly string[]): string =>
    names.map((name) => JSON.stringify(name)).join(', ') || 'nothing';
  const present = [...file.arrays.keys()];
  return new MlserError(
    'E_USAGE',
    `${file.name} has no array for the ${what} ${list(missing)}; it holds ${list(present.slice(0, 20))}`,
    {
      details: { file: file.name, missing: [...missing], found: present.slice(0, 100) },
      hint: `name the arrays like the ${what}s of the graph (numpy.savez(file, name=array, …))`,
    },
  );
}
