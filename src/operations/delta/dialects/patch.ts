import type { Model } from '../../../core/model.js';
import type { ByteRange, TensorSource } from '../../../core/tensor.js';
import { type Finding, finding, MlserError } from '../../../errors.js';
import { checksumNamed } from './checksums/checksum.js';

/** The new bytes of a tensor, made from the old ones. */
export type Patch = (base: TensorSource) => TensorSource;

/** The base with some tensors patched. All else of it is kept. */
export function patchModel(base: Model, patches: ReadonlyMap<string, Patch>): Model {
  const open = new Map(patches);
  const tensors = base.tensors.map((tensor) => {
    const patch = open.get(tensor.info.name);
    open.delete(tensor.info.name);
    return patch ? patch(tensor) : tensor;
  });
  const [missing] = open.keys();
  if (missing !== undefined)
    throw wrongBase(missing, `changes ${open.size} tensor(s) that the base lacks, first`);
  // Names that shared their bytes stay tied only where neither changes: a patch is for one name.
  const tied = [...base.aliases].filter(([alias, of]) => !patches.has(alias) && !patches.has(of));
  return {
    ...base,
    tensors,
    aliases: new Map(tied),
    findings: [...base.findings, ...untied(base, patches)],
  };
}

function untied(base: Model, patches: ReadonlyMap<string, Patch>): Finding[] {
  return [...base.aliases]
    .filter(([alias, of]) => patches.has(alias) !== patches.has(of))
    .map(([alias, of]) => {
      const [changed, kept] = patches.has(alias) ? [alias, of] : [of, alias];
      const message = `${JSON.stringify(kept)} shared the bytes of ${JSON.stringify(changed)}, which the delta changes alone`;
      return finding('warning', 'TIE_BROKEN', kept, message);
    });
}

/** E_BASE_MISMATCH: the delta `does` something to a tensor which this base does not allow. */
export const wrongBase = (tensor: string, does: string): MlserError =>
  new MlserError('E_BASE_MISMATCH', `the delta ${does} ${JSON.stringify(tensor)}`, {
    details: { tensor },
    hint: 'give the base that the delta was made from',
  });

/** A tensor with the form of another one, and bytes of its own. */
export const withBytes = (
  { info, byteLength, role }: TensorSource,
  stream: (range: ByteRange) => AsyncIterable<Uint8Array>,
): TensorSource => ({
  info,
  byteLength,
  ...(role === undefined ? {} : { role }),
  stream: (range = { start: 0, end: byteLength }) => stream(range),
});

/** E_INTEGRITY at the end of a read of the whole tensor whose bytes do not have the recorded checksum. */
export function checked(
  tensor: TensorSource,
  recorded: { readonly algorithm: string; readonly digest: string; readonly file: string },
): TensorSource {
  const { byteLength } = tensor;
  return withBytes(tensor, (range) =>
    range.start === 0 && range.end === byteLength ? checking(tensor, recorded) : tensor.stream(range),
  );
}

async function* checking(
  tensor: TensorSource,
  { algorithm, digest, file }: { algorithm: string; digest: string; file: string },
): AsyncGenerator<Uint8Array> {
  const sum = checksumNamed(algorithm).start();
  for await (const chunk of tensor.stream()) {
    sum.update(chunk);
    yield chunk;
  }
  const found = sum.hex();
  if (found === digest) return;
  const { name } = tensor.info;
  throw new MlserError(
    'E_INTEGRITY',
    `tensor ${JSON.stringify(name)} does not have the ${algorithm} checksum that the delta records after it was applied`,
    {
      details: { file, tensor: name, recorded: digest, found },
      hint: 'the base is not the one that the delta was made from, or one of the two is damaged',
    },
  );
}
