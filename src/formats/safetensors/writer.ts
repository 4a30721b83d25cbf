import { dtypeFacts } from '../../core/dtype.js';
import type { ModelWriter, WriteOptions } from '../../core/format.js';
import type { MetadataValue, Model } from '../../core/model.js';
import type { TensorSource } from '../../core/tensor.js';
import { holdsValues } from '../../core/training.js';
import { type Finding, finding } from '../../errors.js';
import type { OutputFiles } from '../../io/files.js';
import { formatJson } from '../../io/json.js';
import { hasLoneSurrogate } from '../../io/utf8.js';
import { type Placement, transfer } from '../../kernels/transfer.js';
import { formatShardIndex } from '../shard-index.js';
import {
  DEFAULT_SHARD_BYTES,
  indexName,
  isIndexName,
  planShards,
  shardName,
  withoutIndexSuffix,
} from '../sharding.js';
import { storedAs } from './dtypes.js';
import { METADATA_KEY } from './header.js';
import { layOut } from './layout.js';
import { EXTENSION } from './reader.js';

export const writer: ModelWriter = {
  check(model, options) {
    return [
      ...model.tensors.flatMap(checkTensor),
      ...checkMetadata(model, options),
      ...[...model.aliases].map(([name, canonical]) =>
        finding(
          'info',
          'ALIAS_EXPANDED',
          name,
          `${quoted(name)} shares the bytes of ${quoted(canonical)}; safetensors cannot say so, both are written out`,
        ),
      ),
      ...checkRest(model),
    ];
  },

  /**
   * One file, or shards and their index when a shard size is given and one shard does not suffice, or when the
   * target itself is an index. The index then is the main file.
   */
  async write(model, files, context) {
    const metadata = textMetadata(model.metadata);
    const { shardSize } = context.options;
    const asIndex = isIndexName(files.main);
    const shards =
      shardSize === undefined && !asIndex
        ? [[...model.tensors]]
        : planShards(model.tensors, shardSize ?? DEFAULT_SHARD_BYTES);

    const placements: Placement[] = [];
    const target = withoutIndexSuffix(files.main);
    if (shards.length === 1 && !asIndex)
      placements.push(...(await begin(files, files.main, model.tensors, metadata)));
    else {
      const weightMap = new Map<string, string>();
      const format = metadata.get('format');
      const own = new Map(format === undefined ? [] : [['format', format]]); // loaders look for it in every shard
      for (const [i, tensors] of shards.entries()) {
        const name = shardName(target, EXTENSION, i, shards.length);
        for (const tensor of tensors) weightMap.set(tensor.info.name, name);
        placements.push(...(await begin(files, name, tensors, own)));
      }
      const bytes = model.tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0);
      const index = indexName(target);
      files.setMain(index);
      await (await files.create(index)).append(formatShardIndex(metadata, bytes, weightMap));
    }
    await transfer(placements, context);
  },
};

/** Creates a file and writes its header; what is left to do are the bytes of its tensors. */
async function begin(
  files: OutputFiles,
  name: string,
  tensors: readonly TensorSource[],
  metadata: ReadonlyMap<string, string>,
): Promise<Placement[]> {
  const { header, placed } = layOut(tensors, metadata);
  const sink = await files.create(name);
  await sink.writeAt(0, header);
  return placed.map(({ tensor, offset }) => ({ tensor, sink, offset }));
}

const quoted = (name: string): string => JSON.stringify(name);

function checkTensor({ info }: TensorSource): Finding[] {
  const { name, dtype } = info;
  const error = (code: string, message: string): Finding[] => [finding('error', code, name, message)];
  const stored = storedAs(dtype);
  if (!stored)
    return error(
      'DTYPE_UNSUPPORTED',
      `tensor ${quoted(name)} has dtype ${dtype}, which safetensors cannot store: ${remedy(dtype)}`,
    );
  if (name === METADATA_KEY)
    return error('NAME_RESERVED', `a tensor cannot be named ${METADATA_KEY} in safetensors: rename it`);
  if (hasLoneSurrogate(name))
    return error('NAME_NOT_UNICODE', `the tensor name ${quoted(name)} has no UTF-8 form: rename it`);
  if (wastesBits(info))
    return error(
      'DTYPE_UNSUPPORTED',
      `tensor ${quoted(name)}, ${dtype} [${info.shape.join(', ')}], does not fill whole bytes, as safetensors needs: convert it to a wider type with --dtype, or leave it out with --exclude`,
    );
  return [];
}

/** Elements of less than a byte must fill whole bytes. Dimensions modulo 8 are enough to know, and never overflow. */
function wastesBits({ dtype, shape }: TensorSource['info']): boolean {
  return shape.reduce((product, dim) => (product * (dim % 8)) % 8, dtypeFacts(dtype).bits % 8) !== 0;
}

function remedy(dtype: string): string {
  if (dtype === 'str') return 'leave it out with --exclude';
  if (dtype === 'c128' || dtype === 'c32')
    return 'convert it with --dtype c64, or leave it out with --exclude';
  if (/^[iu][24]$/.test(dtype)) return 'convert it with --dtype i8 or u8, or leave it out with --exclude';
  return 'dequantize it with --dtype f32 or f16, or leave it out with --exclude';
}

function checkMetadata(model: Model, options: WriteOptions): Finding[] {
  const findings: Finding[] = [];
  const converted = [...model.metadata].filter(([, value]) => typeof value !== 'string').map(([key]) => key);
  const [first] = converted;
  if (first !== undefined)
    findings.push(
      finding(
        'warning',
        'METADATA_STRINGIFIED',
        first,
        `safetensors metadata holds strings only: ${converted.length} value(s) become JSON text (${converted.slice(0, 5).join(', ')}${converted.length > 5 ? ', …' : ''})`,
      ),
    );
  for (const [key, value] of textMetadata(model.metadata))
    if (hasLoneSurrogate(key) || hasLoneSurrogate(value))
      findings.push(
        finding('error', 'METADATA_NOT_UNICODE', key, `metadata ${quoted(key)} has no UTF-8 form`),
      );
  if (options.shardSize !== undefined && model.metadata.has('total_size'))
    findings.push(
      finding(
        'warning',
        'METADATA_DROPPED',
        'total_size',
        'metadata "total_size" gives way to the size of the tensors if the output is sharded',
      ),
    );
  return findings;
}

/** Strings stay; anything else becomes JSON text. */
const textMetadata = (metadata: ReadonlyMap<string, MetadataValue>): Map<string, string> =>
  new Map([...metadata].map(([key, value]) => [key, typeof value === 'string' ? value : formatJson(value)]));

function checkRest(model: Model): Finding[] {
  const findings: Finding[] = [];
  if (model.training && holdsValues(model.training.tree))
    findings.push(
      finding(
        'warning',
        'TRAINING_DROPPED',
        'training',
        'the training state (optimizer, step, scheduler) has no place in safetensors; its tensors are kept under their names',
      ),
    );
  if (model.graph)
    findings.push(
      finding(
        'warning',
        'GRAPH_DROPPED',
        'graph',
        'the graph has no place in safetensors; only weights are written',
      ),
    );
  return findings;
}
