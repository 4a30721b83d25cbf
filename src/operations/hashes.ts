import { contentId } from '../core/content-id.js';
import type { WorkContext } from '../core/format.js';
import type { Model } from '../core/model.js';
import type { Rides } from '../core/shared-work.js';
import { rangeTensor, type TensorSource } from '../core/tensor.js';
import { MlserError } from '../errors.js';
import type { ByteSource } from '../io/source.js';
import { hashTensors } from '../kernels/transfer.js';
import { bytesOf } from './inspect.js';

export interface ModelHashes {
  /** Tensor name → SHA-256 (hex) of its canonical bytes, aliases included. */
  readonly tensors: ReadonlyMap<string, string>;
  /** Content id. */
  readonly content: string;
  /** SHA-256 of whole files, in the order given. */
  readonly files: readonly string[];
}

/** Hashes every tensor (a tied one once) and, in the same pass over the pool, whole files. With `rides` where others read them. */
export async function hashModel(
  model: Model,
  context: WorkContext,
  files: readonly ByteSource[] = [],
  rides?: Rides,
): Promise<ModelHashes> {
  const own = model.tensors.filter((tensor) => !model.aliases.has(tensor.info.name));
  const wholeFiles = files.map(
    (file): TensorSource => rangeTensor({ name: file.name, dtype: 'u8', shape: [file.size] }, file, 0),
  );
  const all = [...wholeFiles, ...own];
  if (!rides) context.progress.stage('hash', bytesOf(all));
  const digests = await hashTensors(all, context, rides);
  const tensors = new Map<string, string>();
  own.forEach((tensor, i) => {
    const digest = digests[wholeFiles.length + i] ?? '';
    if (tensor.recordedSha256 !== undefined && tensor.recordedSha256 !== digest)
      throw damaged(tensor, digest);
    tensors.set(tensor.info.name, digest);
  });
  for (const [alias, canonical] of model.aliases) tensors.set(alias, tensors.get(canonical) ?? '');
  return {
    tensors,
    content: contentId(model.tensors.map(({ info }) => ({ ...info, sha256: tensors.get(info.name) ?? '' }))),
    files: digests.slice(0, wholeFiles.length),
  };
}

const damaged = ({ info, recordedSha256 = '' }: TensorSource, found: string): MlserError =>
  new MlserError(
    'E_INTEGRITY',
    `tensor ${JSON.stringify(info.name)} does not have the SHA-256 that its file records`,
    {
      details: { tensor: info.name, expected: recordedSha256, found },
      hint: 'the file is damaged: restore it from a copy',
    },
  );
