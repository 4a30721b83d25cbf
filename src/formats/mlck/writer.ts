import { contentId } from '../../core/content-id.js';
import type { ModelWriter, StoredTensor, WriteOptions } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import type { TensorSource } from '../../core/tensor.js';
import { type Finding, finding } from '../../errors.js';
import type { ByteSink } from '../../io/sink.js';
import { CODEC_NAMES } from '../../kernels/codecs/numbers.js';
import { encodeManifest } from './encode.js';
import { encodeFooter, encodeHeader } from './frame.js';
import { alignUp, CHUNK_ALIGNMENT, FEATURE_DELTA, FEATURE_ENCRYPTED, FEATURE_PREDICTED } from './layout.js';
import { ALIAS_RECORD, type TensorRecord } from './manifest.js';
import { splitProvenance } from './provenance.js';
import { checkText } from './text.js';

/** A tensor that is stored: what its record says of its bytes, and where the next one may start. */
export type Stored = Omit<TensorRecord, 'name' | 'role' | 'aliasOf' | 'dtype' | 'shape'> & {
  /** Bytes of elements that differ from the base, where that is known. */
  readonly changed?: number;
};

export const writer: ModelWriter = {
  check(model): readonly Finding[] {
    const findings = checkText(model);
    if (model.graph)
      findings.push(
        finding(
          'warning',
          'GRAPH_DROPPED',
          'graph',
          'the graph has no place in a native checkpoint; only weights are written',
        ),
      );
    return findings;
  },

  /** Data first, manifest and footer last: one pass. Raw (default) is positional; `compress` codes chunk by chunk. */
  async write(model, files, context) {
    const { owners, aliases } = groupAliases(model);
    const sink = await files.create(files.main);
    await sink.writeAt(0, encodeHeader());
    const { storeRaw, storePacked } = await import('./store.js');
    const { compress, delta, key } = context.options;
    const stored = await (compress || delta || key ? storePacked : storeRaw)(owners, sink, context);
    await finish(model, owners, aliases, stored, sink, context.options);
    context.stored?.(summaryOf(model, owners, aliases, stored));
  },
};

/** The tensors to store, and name → the stored one's name for the rest. The first name of a tie is the one stored. */
function groupAliases(model: Model): { owners: TensorSource[]; aliases: Map<string, string> } {
  const owners: TensorSource[] = [];
  const aliases = new Map<string, string>();
  const first = new Map<string, string>();
  for (const tensor of model.tensors) {
    const { name } = tensor.info;
    const group = model.aliases.get(name) ?? name;
    const owner = first.get(group);
    if (owner !== undefined) aliases.set(name, owner);
    else {
      first.set(group, name);
      owners.push(tensor);
    }
  }
  return { owners, aliases };
}

async function finish(
  model: Model,
  owners: readonly TensorSource[],
  aliases: ReadonlyMap<string, string>,
  stored: readonly Stored[],
  sink: ByteSink,
  { provenance: given, delta, key }: WriteOptions,
): Promise<void> {
  const places = new Map(owners.map(({ info }, i) => [info.name, stored[i]]));
  const records: TensorRecord[] = [];
  const leaves: Parameters<typeof contentId>[0][number][] = [];
  for (const { info, role } of model.tensors) {
    const aliasOf = aliases.get(info.name);
    const place = places.get(aliasOf ?? info.name);
    if (!place) throw new Error(`tensor ${info.name} was not stored`);
    leaves.push({ ...info, sha256: place.sha256 });
    records.push(
      aliasOf === undefined
        ? { ...place, ...info, role, aliasOf }
        : { ...ALIAS_RECORD, name: info.name, role, aliasOf },
    );
  }
  const { metadata, provenance } = splitProvenance(model.metadata, given);
  const manifest = await encodeManifest({
    tensors: records,
    metadata,
    training: model.training,
    provenance,
    contentId: contentId(leaves),
    delta: delta?.info,
    kept: model.unknown?.format === 'mlck' ? model.unknown.parts : [],
  });
  const written = key ? (await import('./seal.js')).sealManifest(key, manifest) : manifest;
  const predicted = records.some(({ prediction }) => prediction);
  const features =
    (key ? FEATURE_ENCRYPTED : 0) | (delta ? FEATURE_DELTA : 0) | (predicted ? FEATURE_PREDICTED : 0);
  const offset = alignUp(sink.size, CHUNK_ALIGNMENT);
  await sink.writeAt(offset, written);
  await sink.writeAt(offset + written.byteLength, encodeFooter(offset, written, features));
}

function summaryOf(
  model: Model,
  owners: readonly TensorSource[],
  aliases: ReadonlyMap<string, string>,
  stored: readonly Stored[],
): StoredTensor[] {
  const places = new Map(owners.map(({ info }, i) => [info.name, stored[i]]));
  return model.tensors.map(({ info, byteLength }): StoredTensor => {
    const { name } = info;
    const place = places.get(name);
    const none = { name, byteLength, changed: 0, codecs: new Map<string, never>() };
    if (aliases.has(name) || !place) return { ...none, kind: 'alias' };
    if (place.sameAsBase) return { ...none, kind: 'base' };
    if (place.sameBytesAs !== undefined) return { ...none, changed: byteLength, kind: 'twin' };
    const { changed = byteLength } = place;
    return { name, byteLength, changed, kind: 'stored', codecs: codecsOf(place, byteLength) };
  });
}

function codecsOf(
  { codecs, storedLengths, chunkBytes }: Stored,
  byteLength: number,
): Map<string, { bytesIn: number; bytesOut: number }> {
  const found = new Map<string, { bytesIn: number; bytesOut: number }>();
  if (byteLength === 0) return found;
  if (codecs.length === 0) return found.set('raw', { bytesIn: byteLength, bytesOut: byteLength });
  codecs.forEach((codec, i) => {
    const name = CODEC_NAMES.get(codec) ?? `codec ${codec}`;
    const sums = found.get(name) ?? { bytesIn: 0, bytesOut: 0 };
    sums.bytesIn += Math.min(chunkBytes, byteLength - i * chunkBytes);
    sums.bytesOut += storedLengths[i] ?? 0;
    found.set(name, sums);
  });
  return found;
}
