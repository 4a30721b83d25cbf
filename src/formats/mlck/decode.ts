import { LIMITS } from '../../core/limits.js';
import type { DeltaInfo } from '../../core/model.js';
import { PREDICTION_SCALARS, type Prediction } from '../../core/prediction.js';
import type { Provenance } from '../../core/provenance.js';
import type { TensorRole } from '../../core/tensor.js';
import type { TrainingState } from '../../core/training.js';
import { MlserError } from '../../errors.js';
import { FIRST_KEPT_FIELD, type Manifest, PREDICTIONS, ROLES, type TensorRecord } from './manifest.js';
import { type FlatNode, rebuildMap, rebuildState } from './nodes.js';
import { decodeMessage, type Fields } from './wire.js';

/** Chunks of one tensor: what 2^53 bytes would need is more than any manifest holds. */
const MAX_CHUNKS = LIMITS.MANIFEST_BYTES / 4;

/** Decodes a manifest that was verified against its SHA-256. E_MALFORMED, E_LIMIT. */
export const decodeManifest = (bytes: Uint8Array, file: string): Promise<Manifest> =>
  decodeMessage(bytes, `${file}: the manifest`, (fields) => {
    const tensors: TensorRecord[] = [];
    const metadata: FlatNode[] = [];
    let training: TrainingState | undefined;
    let provenance: Provenance | undefined;
    let contentId: string | undefined;
    const delta: { -readonly [K in keyof DeltaInfo]?: DeltaInfo[K] } = {};
    const kept: Uint8Array[] = [];
    const skipped = new Set<number>();
    while (fields.next())
      switch (fields.field) {
        case 1:
          if (tensors.length >= LIMITS.TENSORS) throw tooMany(file, 'TENSORS');
          tensors.push(decodeTensor(fields.message(`${file}: tensor ${tensors.length}`)));
          break;
        case 2:
          pushNode(metadata, fields, file);
          break;
        case 3:
          if (training) throw fields.bad('the training state stands twice');
          training = decodeTraining(fields.message(`${file}: the training state`), file);
          break;
        case 4:
          if (provenance) throw fields.bad('the provenance stands twice');
          provenance = decodeProvenance(fields.message(`${file}: the provenance`), file);
          break;
        case 5:
          contentId = fields.hex(32);
          break;
        case 16:
          delta.base = fields.hex(32);
          break;
        case 17:
          delta.depth = fields.uint32();
          break;
        case 20:
          delta.file = fields.text();
          break;
        case 21:
          delta.lossy = fields.text();
          break;
        default: {
          const { field } = fields;
          const part = fields.skip();
          if (field >= FIRST_KEPT_FIELD) kept.push(part);
          else skipped.add(field);
        }
      }
    if (contentId === undefined) throw fields.bad('the content id is missing');
    const { base, depth = 0 } = delta;
    if (base === undefined ? Object.keys(delta).length > 0 : depth < 1)
      throw fields.bad('it is half a delta: base and depth belong together');
    return {
      tensors,
      metadata: rebuildMap(metadata, `${file}: the metadata`),
      training,
      provenance,
      contentId,
      delta: base === undefined ? undefined : { ...delta, base, depth },
      kept,
      skipped,
    };
  });

const tooMany = (file: string, limit: 'TENSORS' | 'TREE_NODES'): MlserError =>
  new MlserError('E_LIMIT', `${file}: the manifest passes the limit ${limit} (${LIMITS[limit]})`, {
    details: { file, limit, allowed: LIMITS[limit] },
    hint: 'split the model',
  });

/** Plain variables: a model has many of these. */
function decodeTensor(fields: Fields): TensorRecord {
  let name = '';
  let dtype = '';
  let byteLength = 0;
  let sha256 = '';
  let aliasOf: string | undefined;
  let role: TensorRole | undefined;
  let sameBytesAs: string | undefined;
  let offset = 0;
  let chunkBytes = 0;
  const shape: number[] = [];
  const crcs: number[] = [];
  const codecs: number[] = [];
  const storedLengths: number[] = [];
  const rawCrcs: number[] = [];
  let base: string | undefined;
  let sameAsBase = false;
  let prediction: Prediction | undefined;
  let nonces: Uint8Array = NONE;
  let tags: Uint8Array = NONE;
  while (fields.next())
    switch (fields.field) {
      case 1:
        name = fields.text();
        break;
      case 2:
        dtype = fields.text();
        break;
      case 3:
        fields.numbers('uint64', shape, LIMITS.RANK);
        break;
      case 4:
        byteLength = fields.u64();
        break;
      case 5:
        sha256 = fields.hex(32);
        break;
      case 6:
        aliasOf = fields.text();
        break;
      case 7:
        role = roleOf(fields.uint32());
        break;
      case 8:
        sameBytesAs = fields.text();
        break;
      case 9:
        offset = fields.u64();
        break;
      case 10:
        chunkBytes = fields.uint32();
        break;
      case 11:
        fields.numbers('fixed32', crcs, MAX_CHUNKS);
        break;
      case 12:
        fields.numbers('uint32', codecs, MAX_CHUNKS);
        break;
      case 13:
        fields.numbers('uint32', storedLengths, MAX_CHUNKS);
        break;
      case 14:
        fields.numbers('fixed32', rawCrcs, MAX_CHUNKS);
        break;
      case 16:
        nonces = fields.bytes();
        break;
      case 17:
        tags = fields.bytes();
        break;
      case 20:
        base = fields.text();
        break;
      case 21:
        sameAsBase = fields.bool();
        break;
      case 22:
        if (prediction) throw fields.bad('it is predicted twice');
        prediction = decodePrediction(fields.message(`the prediction of ${JSON.stringify(name)}`));
        break;
      default:
        fields.skip();
    }
  return {
    name,
    role,
    aliasOf,
    dtype,
    shape,
    byteLength,
    sha256,
    sameBytesAs,
    offset,
    chunkBytes,
    crcs,
    codecs,
    storedLengths,
    rawCrcs,
    base,
    sameAsBase,
    prediction,
    nonces,
    tags,
  };
}

function decodePrediction(fields: Fields): Prediction {
  let number = 0;
  let first = '';
  let second: string | undefined;
  const scalars: number[] = [];
  while (fields.next())
    if (fields.field === 1) number = fields.uint32();
    else if (fields.field === 2) first = fields.text();
    else if (fields.field === 3) second = fields.text();
    else if (fields.field === 4) fields.numbers('float', scalars, MAX_SCALARS);
    else fields.skip();
  const kind = PREDICTIONS[number - 1];
  if (kind === undefined)
    throw new MlserError('E_UNSUPPORTED', fields.bad(`predictions of kind ${number}`).message, {
      details: { kind: number },
      hint: 'a newer mlser wrote it: use that version to read it',
    });
  if (scalars.length !== PREDICTION_SCALARS[kind])
    throw fields.bad(`it has ${scalars.length} numbers, not ${PREDICTION_SCALARS[kind]}`);
  if (kind === 'adam-second') return { kind, first, scalars };
  if (second === undefined) throw fields.bad('it names no second moment');
  return { kind, first, second, scalars };
}

const MAX_SCALARS = 16;

const NONE = new Uint8Array();

/** A role of a newer minor version reads as none. */
const roleOf = (number: number): TensorRole | undefined => (number === 0 ? undefined : ROLES[number - 1]);

function decodeTraining(fields: Fields, file: string): TrainingState {
  const tree: FlatNode[] = [];
  const summary: { -readonly [K in keyof Omit<TrainingState, 'tree'>]: TrainingState[K] } = {};
  while (fields.next())
    switch (fields.field) {
      case 1:
        pushNode(tree, fields, file);
        break;
      case 2:
        summary.step = fields.double();
        break;
      case 3:
        summary.epoch = fields.double();
        break;
      case 4:
        summary.loss = fields.double();
        break;
      case 5:
        summary.learningRate = fields.double();
        break;
      case 6:
        summary.optimizer = fields.text();
        break;
      default:
        fields.skip();
    }
  return { tree: rebuildState(tree), ...summary };
}

function decodeProvenance(fields: Fields, file: string): Provenance {
  const found: { -readonly [K in keyof Provenance]: Provenance[K] } = {};
  const hyperParameters: FlatNode[] = [];
  while (fields.next())
    switch (fields.field) {
      case 1:
        found.framework = fields.text();
        break;
      case 2:
        found.frameworkVersion = fields.text();
        break;
      case 3:
        found.gitCommit = fields.text();
        break;
      case 4:
        found.datasetVersion = fields.text();
        break;
      case 5:
        found.modelVersion = fields.text();
        break;
      case 6:
        found.parent = fields.hex(32);
        break;
      case 7:
        pushNode(hyperParameters, fields, file);
        break;
      default:
        fields.skip();
    }
  if (hyperParameters.length > 0)
    found.hyperParameters = rebuildMap(hyperParameters, `${file}: the hyper-parameters`);
  return found;
}

function pushNode(nodes: FlatNode[], fields: Fields, file: string): void {
  if (nodes.length >= LIMITS.TREE_NODES) throw tooMany(file, 'TREE_NODES');
  nodes.push(decodeNode(fields.message(`${file}: value ${nodes.length} of a tree`)));
}

function decodeNode(fields: Fields): FlatNode {
  let node: FlatNode | undefined;
  while (fields.next()) {
    if (node) throw fields.bad('it has two values');
    node = nodeValue(fields);
  }
  if (!node) throw fields.bad('it has no value');
  return node;
}

function nodeValue(fields: Fields): FlatNode {
  switch (fields.field) {
    case 1:
      fields.bool();
      return { kind: 'none' };
    case 2:
      return { kind: 'bool', value: fields.bool() };
    case 3:
      return { kind: 'int', value: fromTwosComplement(fields.bytes()) };
    case 4:
      return { kind: 'float', value: fields.double() };
    case 5:
      return { kind: 'string', value: fields.text() };
    case 6:
      return { kind: 'bytes', value: fields.bytes() };
    case 7:
      return complexValue(fields.message('a complex number'));
    case 8:
      return { kind: 'list', count: fields.uint32() };
    case 9:
      return { kind: 'tuple', count: fields.uint32() };
    case 10:
      return { kind: 'set', count: fields.uint32() };
    case 11:
      return { kind: 'dict', count: fields.uint32() };
    case 12:
      return { kind: 'ordered_dict', count: fields.uint32() };
    case 13:
      return tensorReference(fields.message('a tensor reference'));
    case 14:
      return opaqueValue(fields.message('an opaque value'));
    default:
      throw new MlserError('E_UNSUPPORTED', `${fields.bad(`value of kind ${fields.field}`).message}`, {
        details: { kind: fields.field },
        hint: 'a newer mlser wrote it: use that version to read it',
      });
  }
}

function complexValue(fields: Fields): FlatNode {
  let re = 0;
  let im = 0;
  while (fields.next())
    if (fields.field === 1) re = fields.double();
    else if (fields.field === 2) im = fields.double();
    else fields.skip();
  return { kind: 'complex', re, im };
}

function tensorReference(fields: Fields): FlatNode {
  let name = '';
  const flags: { parameter?: boolean; requiresGrad?: boolean } = {};
  while (fields.next())
    if (fields.field === 1) name = fields.text();
    else if (fields.field === 2) flags.parameter = fields.bool();
    else if (fields.field === 3) flags.requiresGrad = fields.bool();
    else fields.skip();
  return { kind: 'tensor', name, ...flags };
}

function opaqueValue(fields: Fields): FlatNode {
  let type = '';
  let text = '';
  while (fields.next())
    if (fields.field === 1) type = fields.text();
    else if (fields.field === 2) text = fields.text();
    else fields.skip();
  return { kind: 'opaque', type, text };
}

export function fromTwosComplement(bytes: Uint8Array): bigint {
  if (bytes.byteLength === 0) return 0n;
  const hex = Buffer.from(bytes).reverse().toString('hex');
  return BigInt.asIntN(bytes.byteLength * 8, BigInt(`0x${hex}`));
}
