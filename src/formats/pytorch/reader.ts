import type { ModelReader } from '../../core/format.js';
import type { MetadataValue, Model } from '../../core/model.js';
import type { TensorSource } from '../../core/tensor.js';
import type { StateNode } from '../../core/training.js';
import { type Finding, MlserError } from '../../errors.js';
import type { ByteSource } from '../../io/source.js';
import { isIndexName } from '../sharding.js';
import { readArchive } from './archive.js';
import { flatten, type Leaf } from './flatten.js';
import { readLegacy } from './legacy.js';
import { quantizationMetadata } from './quantization.js';
import { looksLikeTar, startsZip } from './sniff.js';
import type { Container } from './storages.js';
import { trainingState } from './summary.js';
import { checkView, TensorBuilder } from './tensors.js';
import { PyStorage, type PyTensor } from './values.js';

/** Reads a file, or a folder of shards when the main file is an index. Headers and the pickle only. */
export const reader: ModelReader = {
  async read(files) {
    if (isIndexName(files.main)) return (await import('./shards.js')).readShards(files);
    return readFile(await files.open(files.main));
  },
};

/** One `.pt`, `.pth`, `.bin` … of any age. */
export async function readFile(source: ByteSource): Promise<Model> {
  const container = await readContainer(source);
  const { value, meaning, storages } = container;
  const { tree, leaves, findings } = flatten(value, meaning.unknown, source.name);
  const builder = new TensorBuilder(storages, source.name);
  const { tensors, aliases } = await buildTensors(leaves, builder);
  return {
    format: 'pytorch',
    formatVersion: container.formatVersion,
    tensors,
    aliases,
    metadata: await metadataOf(leaves, builder),
    ...(isStateDict(tree) ? {} : { training: trainingState(tree) }),
    findings: [...container.findings, ...findings],
  };
}

async function readContainer(source: ByteSource): Promise<Container> {
  const head = await source.read(0, Math.min(source.size, 512));
  if (startsZip(head)) return readArchive(source);
  if (looksLikeTar(head))
    throw new MlserError(
      'E_UNSUPPORTED',
      `${source.name}: a tar archive, as torch wrote before version 0.1.10`,
      {
        details: { file: source.name },
        hint: 'load it with an old torch and save it again',
      },
    );
  return readLegacy(source);
}

/** Sources for all leaves in their order. The same view under a second name is an alias of the first. */
async function buildTensors(
  leaves: readonly Leaf[],
  builder: TensorBuilder,
): Promise<{ tensors: TensorSource[]; aliases: Map<string, string> }> {
  const tensors: TensorSource[] = [];
  const aliases = new Map<string, string>();
  const viewOf = new Map<string, string>();
  const canonical = new Map<string, string>();
  const arrays = new Map<object, number>();
  for (const { name, tensor, role } of leaves) {
    const view = checkView(tensor, name, builder.file);
    const identity = `${storageIdentity(tensor, arrays)}|${view.identity}`;
    const before = viewOf.get(name);
    if (before === identity) continue; // two ways to one tensor under one name
    if (before !== undefined) throw nameTwice(builder.file, name);
    viewOf.set(name, identity);
    const built = await builder.build(tensor, view, name, role);
    tensors.push(built);
    const first = canonical.get(identity);
    if (first === undefined) canonical.set(identity, name);
    else if (built.byteLength > 0) aliases.set(name, first);
  }
  return { tensors, aliases };
}

function storageIdentity({ source }: PyTensor, arrays: Map<object, number>): string {
  if (source instanceof PyStorage) return JSON.stringify(source.key);
  const id = arrays.get(source) ?? arrays.size;
  arrays.set(source, id);
  return `array ${id}`;
}

const nameTwice = (file: string, name: string): MlserError =>
  new MlserError(
    'E_UNSUPPORTED',
    `${file}: two different tensors are named ${JSON.stringify(name)} once flattened`,
    {
      details: { file, tensor: name },
      hint: 'their keys differ only in type or nesting (1 and "1", "a.b" and a → b): rename one with torch',
    },
  );

/** Scales and zero points of quantized tensors, under `quantization`. */
async function metadataOf(
  leaves: readonly Leaf[],
  builder: TensorBuilder,
): Promise<ReadonlyMap<string, MetadataValue>> {
  const quantized = new Map<string, MetadataValue>();
  for (const { name, tensor } of leaves)
    if (tensor.flags.quantizer)
      quantized.set(name, await quantizationMetadata(tensor.flags.quantizer, name, builder));
  return quantized.size === 0 ? new Map() : new Map([['quantization', quantized]]);
}

/** A dictionary of tensors under text keys and nothing else: it has no state beside its tensors. */
const isStateDict = (tree: StateNode): boolean =>
  tree.kind === 'dict' &&
  tree.entries.every(
    ([key, value]) => key.kind === 'string' && value.kind === 'tensor' && value.name === key.value,
  );

/** Findings of many shards: the same thing said once. */
export const uniqueFindings = (findings: readonly Finding[]): Finding[] => [
  ...new Map(findings.map((f) => [`${f.code} ${f.subject} ${f.message}`, f])).values(),
];
