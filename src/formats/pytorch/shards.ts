import { LIMITS } from '../../core/limits.js';
import type { MetadataValue, Model } from '../../core/model.js';
import type { TensorSource } from '../../core/tensor.js';
import { type Finding, finding, MlserError } from '../../errors.js';
import type { InputFiles } from '../../io/files.js';
import { checkShard, checkTotalSize, readShardIndex, requireShard } from '../shard-index.js';
import { readFile, uniqueFindings } from './reader.js';
import { SHARD_EXTENSIONS } from './sniff.js';

/** `pytorch_model.bin.index.json` and its shards: each a state dict, together the model. */
export async function readShards(files: InputFiles): Promise<Model> {
  const extension = SHARD_EXTENSIONS.find((ext) => files.main.includes(`${ext}.`)) ?? '.bin';
  const index = await readShardIndex(files, extension);
  for (const shard of index.shards.keys()) await requireShard(files, index, shard);
  const tensors: TensorSource[] = [];
  const aliases = new Map<string, string>();
  const quantization = new Map<string, MetadataValue>();
  const findings: Finding[] = [];
  for (const shard of index.shards.keys()) {
    const part = await readFile(await files.open(shard));
    checkShard(index, shard, new Set(part.tensors.map((tensor) => tensor.info.name)));
    if (tensors.length + part.tensors.length > LIMITS.TENSORS)
      throw new MlserError('E_LIMIT', `${index.name}: more than ${LIMITS.TENSORS} tensors (limit TENSORS)`, {
        details: { file: index.name, limit: 'TENSORS' },
      });
    for (const tensor of part.tensors) tensors.push(tensor);
    for (const [name, canonical] of part.aliases) aliases.set(name, canonical);
    const quantized = part.metadata.get('quantization');
    if (quantized instanceof Map) for (const [name, value] of quantized) quantization.set(name, value);
    findings.push(...part.findings);
    if (part.training)
      findings.push(
        finding(
          'warning',
          'SHARD_STATE',
          shard,
          `${shard} holds more than tensors; only its tensors are used`,
        ),
      );
  }
  const bytes = tensors.reduce(
    (sum, { byteLength, info }) => (aliases.has(info.name) ? sum : sum + byteLength),
    0,
  );
  const expanded = tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
  // Tied tensors are counted once by some writers and twice by others.
  if (index.totalSize !== expanded) findings.push(...checkTotalSize(index, bytes));
  return {
    format: 'pytorch',
    formatVersion: 'sharded',
    tensors,
    aliases,
    metadata: new Map<string, MetadataValue>([
      ...index.metadata,
      ...(quantization.size > 0 ? [['quantization', quantization] as [string, MetadataValue]] : []),
    ]),
    findings: uniqueFindings(findings),
  };
}
