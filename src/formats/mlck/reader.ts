import { isDType, tensorBytes } from '../../core/dtype.js';
import type { ModelReader } from '../../core/format.js';
import { type DeltaInfo, type Model, tensorMap } from '../../core/model.js';
import type { Seal } from '../../core/recipe.js';
import { renamed, type TensorInfo, type TensorSource } from '../../core/tensor.js';
import type { StateNode, TrainingState } from '../../core/training.js';
import { type Finding, finding, MlserError, malformed } from '../../errors.js';
import type { ByteSource } from '../../io/source.js';
import { BASED } from '../../kernels/codecs/numbers.js';
import { baseTensor, fromBase } from './base.js';
import { chunkedTensor } from './chunks.js';
import { decodeManifest } from './decode.js';
import { readFrame } from './frame.js';
import {
  checkStorage,
  FEATURE_DELTA,
  FEATURE_ENCRYPTED,
  FEATURE_PREDICTED,
  FORMAT_MAJOR,
  FORMAT_MINOR,
  NONCE_BYTES,
  type Storage,
  storageEnd,
  TAG_BYTES,
} from './layout.js';
import type { Manifest, TensorRecord } from './manifest.js';
import { Predictions } from './predictions.js';
import { joinProvenance } from './provenance.js';

export const reader: ModelReader = {
  async read(files, context): Promise<Model> {
    const source = await files.open(files.main);
    const frame = await readFrame(source);
    const sealed = (frame.features & FEATURE_ENCRYPTED) !== 0;
    const { key } = context;
    if (sealed && !frame.plainHeader && frame.minor <= FORMAT_MINOR)
      throw new MlserError('E_INTEGRITY', `${source.name}: the header was changed`, {
        details: { file: source.name, part: 'header' },
        hint: 'get the file again from where it was made',
      });
    const plain = sealed
      ? (await import('./seal.js')).openManifest(key, frame.manifest, source.name)
      : frame.manifest;
    const manifest = await decodeManifest(plain, source.name);
    const { delta } = manifest;
    if ((delta !== undefined) !== ((frame.features & FEATURE_DELTA) !== 0))
      throw malformed(`${source.name}: footer and manifest do not agree on whether this is a delta`, {
        file: source.name,
      });
    const predicted = manifest.tensors.some(({ prediction }) => prediction);
    if (predicted !== ((frame.features & FEATURE_PREDICTED) !== 0) || (predicted && !delta))
      throw malformed(`${source.name}: footer and manifest do not agree on whether tensors are predicted`, {
        file: source.name,
      });
    const base = delta && (await context.findBase?.(delta, files));
    const opened: Opened = {
      ...{ source, dataEnd: frame.manifestOffset, threads: context.threads ?? 1, delta, base },
      predictions: new Predictions(predicted ? manifest.tensors : [], source.name),
      ...(sealed && key ? { seal: await sealing(key) } : {}),
    };
    const { tensors, aliases } = readTensors(manifest, opened);
    return {
      format: 'mlck',
      formatVersion: `${FORMAT_MAJOR}.${frame.minor}`,
      tensors,
      aliases,
      metadata: joinProvenance(manifest.metadata, manifest.provenance),
      ...(manifest.training ? { training: manifest.training } : {}),
      recordedContent: manifest.contentId,
      ...(delta ? { delta } : {}),
      ...(manifest.kept.length > 0 ? { unknown: { format: 'mlck', parts: manifest.kept } } : {}),
      findings: [
        ...frame.findings,
        ...aboutDelta(delta, base, source.name),
        ...unknownFields(manifest, source.name),
        ...danglingReferences(manifest.training, tensors),
      ],
    };
  },
};

type SealTensor = (record: TensorRecord) => Seal;

/** Tensors are sealed each under its own name. */
async function sealing(key: Uint8Array): Promise<SealTensor> {
  const { sealOf, tensorContext } = await import('./seal.js');
  return ({ name, nonces, tags }) => sealOf(key, tensorContext(name), nonces, tags);
}

/** The file, and what its tensors are read with. */
interface Opened {
  readonly source: ByteSource;
  /** Where the data end. */
  readonly dataEnd: number;
  readonly threads: number;
  readonly delta: DeltaInfo | undefined;
  /** The model that a delta builds on, if it was found. */
  readonly base: Model | undefined;
  readonly seal?: SealTensor;
  readonly predictions: Predictions;
}

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
  opened: Opened,
): { tensors: TensorSource[]; aliases: Map<string, string> } {
  const file = opened.source.name;
  const bases = opened.base && tensorMap(opened.base);
  const tensors: TensorSource[] = [];
  const aliases = new Map<string, string>();
  const names = new Set<string>();
  const owners = new Map<string, Owner>();
  for (const record of manifest.tensors) {
    const { name, aliasOf, role } = record;
    if (names.has(name)) throw bad(file, name, 'stands twice');
    names.add(name);
    const owner = aliasOf === undefined ? readOwner(record, owners, opened, bases) : owners.get(aliasOf);
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
  opened: Opened,
  bases: ReadonlyMap<string, TensorSource> | undefined,
): Owner {
  const file = opened.source.name;
  const info = tensorInfo(record, file);
  const { sameBytesAs, sameAsBase } = record;
  const storage = storageOf(record, info);
  if (record.prediction && (sameBytesAs !== undefined || sameAsBase || record.base === undefined))
    throw bad(file, record.name, 'is predicted, but stores no differences to it');
  if (sameBytesAs === undefined && !sameAsBase) {
    checkStorage(storage, opened.dataEnd, file, record.name);
    if (opened.seal) checkSeal(record, storage, file);
    return {
      record,
      storage,
      tensor: chunked(record, info, storage, opened, bases, owners),
      hasStorage: true,
    };
  }
  if (sameAsBase) {
    if (!opened.delta || sameBytesAs !== undefined || record.rawCrcs.length !== 1)
      throw bad(file, record.name, 'cannot have the bytes of a base');
    const tensor = fromBase(info, record, baseTensor(record, info, opened, bases), file);
    return { record, storage, tensor, hasStorage: false };
  }
  const owner = owners.get(sameBytesAs ?? '');
  if (!owner?.hasStorage)
    throw bad(
      file,
      record.name,
      `has the bytes of ${JSON.stringify(sameBytesAs)}, which stores none before it`,
    );
  const twin = owner.record;
  if (twin.dtype !== record.dtype || twin.byteLength !== record.byteLength || twin.sha256 !== record.sha256)
    throw bad(file, record.name, `cannot have the bytes of ${JSON.stringify(sameBytesAs)}: they differ`);
  const tensor = chunked(twin, info, owner.storage, opened, bases, owners);
  return { record, storage: owner.storage, tensor, hasStorage: false };
}

function chunked(
  record: TensorRecord,
  info: TensorInfo,
  storage: Storage,
  opened: Opened,
  bases: ReadonlyMap<string, TensorSource> | undefined,
  owners: ReadonlyMap<string, Owner>,
): TensorSource {
  const { source, threads } = opened;
  const { base: named, rawCrcs } = record;
  const building = record.codecs.some((codec) => BASED.has(codec));
  if (building && (!opened.delta || named === undefined || rawCrcs.length === 0))
    throw bad(source.name, record.name, 'builds on a base that the file does not name');
  const inBase = (base: string): TensorSource => baseTensor({ ...record, base }, info, opened, bases);
  const own = (name: string): TensorSource | undefined => owners.get(name)?.tensor;
  const base = named === undefined ? undefined : opened.predictions.of(record, inBase(named), own, inBase);
  return chunkedTensor({
    ...{ info, storage, source, threads, recordedSha256: record.sha256 },
    ...(base ? { base } : {}),
    ...(opened.seal && storage.byteLength > 0 ? { seal: opened.seal(record) } : {}),
  });
}

function checkSeal({ name, nonces, tags }: TensorRecord, { crcs }: Storage, file: string): void {
  if (nonces.byteLength !== crcs.length * NONCE_BYTES || tags.byteLength !== crcs.length * TAG_BYTES)
    throw bad(file, name, `has not a nonce and a tag for each of its ${crcs.length} chunks`);
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
  rawCrcs: record.rawCrcs,
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

function aboutDelta(delta: DeltaInfo | undefined, base: Model | undefined, file: string): Finding[] {
  if (!delta) return [];
  const findings: Finding[] = [];
  if (!base)
    findings.push(
      finding(
        'warning',
        'BASE_NOT_FOUND',
        file,
        `its base (content ${delta.base.slice(0, 12)}…${delta.file === undefined ? '' : `, ${JSON.stringify(delta.file)}`}) is not beside it: only names and shapes can be told; name it with --base`,
      ),
    );
  if (delta.lossy !== undefined)
    findings.push(finding('info', 'LOSSY_DELTA', file, `made with loss: ${delta.lossy}`));
  return findings;
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
