import { isDType, tensorBytes } from '../../core/dtype.js';
import type { ModelReader } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import { renamed, type TensorInfo, type TensorSource } from '../../core/tensor.js';
import type { StateNode, TrainingState } from '../../core/training.js';
import { type Finding, finding, MlserError, malformed } from '../../errors.js';
import type { ByteSource } from '../../io/source.js';
import { chunkedTensor } from './chunks.js';
import { decodeManifest } from './decode.js';
import { readFrame } from './frame.js';
import { checkStorage, FORMAT_MAJOR, type Storage, storageEnd } from './layout.js';
import type { Manifest, TensorRecord } from './manifest.js';
import { joinProvenance } from './provenance.js';

export const reader: ModelReader = {
  async read(files, { threads = 1 }): Promise<Model> {
    const source = await files.open(files.main);
    const frame = await readFrame(source);
    const manifest = await decodeManifest(frame.manifest, source.name);
    const { tensors, aliases } = readTensors(manifest, source, frame.manifestOffset, threads);
    return {
      format: 'mlck',
      formatVersion: `${FORMAT_MAJOR}.${frame.minor}`,
      tensors,
      aliases,
      metadata: joinProvenance(manifest.metadata, manifest.provenance),
      ...(manifest.training ? { training: manifest.training } : {}),
      ...(manifest.kept.length > 0 ? { unknown: { format: 'mlck', parts: manifest.kept } } : {}),
      findings: [
        ...frame.findings,
        ...unknownFields(manifest, source.name),
        ...danglingReferences(manifest.training, tensors),
      ],
    };
  },
};

/** What later records may refer to. */
interface Owner {
  readonly record: TensorRecord;
  readonly storage: Storage;
  readonly tensor: TensorSource;
  /** False where it refers to another one itself. */
  readonly hasStorage: boolean;
}

function readTensors(
  manifest: Manifest,
  source: ByteSource,
  dataEnd: number,
  threads: number,
): { tensors: TensorSource[]; aliases: Map<string, string> } {
  const file = source.name;
  const tensors: TensorSource[] = [];
  const aliases = new Map<string, string>();
  const names = new Set<string>();
  const owners = new Map<string, Owner>();
  for (const record of manifest.tensors) {
    const { name, aliasOf, role } = record;
    if (names.has(name)) throw bad(file, name, 'stands twice');
    names.add(name);
    const owner =
      aliasOf === undefined ? readOwner(record, owners, source, dataEnd, threads) : owners.get(aliasOf);
    if (!owner) throw bad(file, name, `is an alias of ${JSON.stringify(aliasOf)}, no tensor before it`);
    if (aliasOf === undefined) owners.set(name, owner);
    else aliases.set(name, aliasOf);
    const tensor = aliasOf === undefined ? owner.tensor : renamed(owner.tensor, name);
    tensors.push(role === undefined ? tensor : { ...tensor, role });
  }
  checkOverlaps([...owners.values()], file);
  return { tensors, aliases };
}

const bad = (file: string, tensor: string, why: string): MlserError =>
  malformed(`${file}: tensor ${JSON.stringify(tensor)} ${why}`, { file, tensor });

function readOwner(
  record: TensorRecord,
  owners: ReadonlyMap<string, Owner>,
  source: ByteSource,
  dataEnd: number,
  threads: number,
): Owner {
  const file = source.name;
  const info = tensorInfo(record, file);
  const { sameBytesAs } = record;
  if (sameBytesAs === undefined) {
    const storage = storageOf(record, info);
    checkStorage(storage, dataEnd, file, record.name);
    const tensor = chunkedTensor(info, storage, source, record.sha256, threads);
    return { record, storage, tensor, hasStorage: true };
  }
  const owner = owners.get(sameBytesAs);
  if (!owner?.hasStorage)
    throw bad(
      file,
      record.name,
      `has the bytes of ${JSON.stringify(sameBytesAs)}, which stores none before it`,
    );
  const twin = owner.record;
  if (twin.dtype !== record.dtype || twin.byteLength !== record.byteLength || twin.sha256 !== record.sha256)
    throw bad(file, record.name, `cannot have the bytes of ${JSON.stringify(sameBytesAs)}: they differ`);
  const tensor = chunkedTensor(info, owner.storage, source, record.sha256, threads);
  return { record, storage: owner.storage, tensor, hasStorage: false };
}

function tensorInfo({ name, dtype, shape, byteLength, sha256 }: TensorRecord, file: string): TensorInfo {
  if (!isDType(dtype))
    throw new MlserError(
      'E_UNSUPPORTED',
      `${file}: tensor ${JSON.stringify(name)} has the type ${JSON.stringify(dtype)}, which this mlser does not know`,
      { details: { file, tensor: name, dtype }, hint: 'use a newer mlser' },
    );
  if (sha256 === '') throw bad(file, name, 'has no SHA-256');
  if (dtype !== 'str') {
    const needed = tensorBytes(dtype, shape, `${file}: tensor ${JSON.stringify(name)}`);
    if (needed !== byteLength)
      throw bad(file, name, `has ${byteLength} bytes; ${dtype} [${shape.join(', ')}] needs ${needed}`);
  }
  return { name, dtype, shape };
}

const storageOf = (record: TensorRecord, { dtype }: TensorInfo): Storage => ({
  byteLength: record.byteLength,
  dtype,
  offset: record.offset,
  chunkBytes: record.chunkBytes,
  crcs: record.crcs,
  packed:
    record.codecs.length === 0 && record.storedLengths.length === 0
      ? undefined
      : { codecs: record.codecs, lengths: record.storedLengths },
});

/** No byte of the file belongs to two tensors: what is meant to be shared says so. */
function checkOverlaps(owners: readonly Owner[], file: string): void {
  const places = owners
    .filter(({ hasStorage, storage }) => hasStorage && storage.byteLength > 0)
    .map(({ record, storage }) => ({
      name: record.name,
      start: storage.offset,
      end: storageEnd(storage),
    }))
    .sort((a, b) => a.start - b.start);
  let before: { name: string; end: number } | undefined;
  for (const place of places) {
    if (before && place.start < before.end)
      throw bad(file, place.name, `lies over the bytes of ${JSON.stringify(before.name)}`);
    before = place;
  }
}

function unknownFields({ skipped, kept }: Manifest, file: string): Finding[] {
  const findings: Finding[] = [];
  if (skipped.size > 0)
    findings.push(
      finding(
        'info',
        'UNKNOWN_FIELDS',
        file,
        `manifest fields ${[...skipped].slice(0, 8).join(', ')} are newer than this mlser: passed over, and lost if the file is written again`,
      ),
    );
  if (kept.length > 0)
    findings.push(
      finding(
        'info',
        'UNKNOWN_FIELDS_KEPT',
        file,
        `${kept.length} manifest field(s) that this mlser does not know are kept as they are`,
      ),
    );
  return findings;
}

/** Tensors that the training state names and the file lacks. */
function danglingReferences(
  training: TrainingState | undefined,
  tensors: readonly TensorSource[],
): Finding[] {
  if (!training) return [];
  const names = new Set(tensors.map(({ info }) => info.name));
  const missing: string[] = [];
  const open: StateNode[] = [training.tree];
  for (let node = open.pop(); node; node = open.pop()) {
    if (node.kind === 'tensor' && !names.has(node.name)) missing.push(node.name);
    else if ('items' in node) for (const item of node.items) open.push(item);
    else if ('entries' in node) for (const entry of node.entries) open.push(...entry);
  }
  const [first] = missing;
  if (first === undefined) return [];
  return [
    finding(
      'warning',
      'TRAINING_TENSOR_MISSING',
      first,
      `the training state names ${missing.length} tensor(s) that are not there (${missing.slice(0, 5).join(', ')}${missing.length > 5 ? ', …' : ''})`,
    ),
  ];
}
