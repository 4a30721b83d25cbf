import type { Writer } from 'protobufjs/minimal.js';
import type { Prediction } from '../../core/prediction.js';
import type { Provenance } from '../../core/provenance.js';
import type { TrainingState } from '../../core/training.js';
import { type Manifest, PREDICTIONS, ROLES, type TensorRecord } from './manifest.js';
import { type FlatNode, flattenMap, flattenState } from './nodes.js';

/** Wire types of protobuf. */
const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const tag = (field: number, wire: number): number => (field << 3) | wire;

/** The manifest as protobuf (schemas/checkpoint.proto), fields in ascending order: same manifest, same bytes. */
export async function encodeManifest(manifest: Omit<Manifest, 'skipped'>): Promise<Uint8Array> {
  const { Writer } = await import('protobufjs/minimal.js');
  const out = Writer.create();
  for (const record of manifest.tensors) message(out, 1, () => tensor(out, record));
  if (manifest.metadata.size > 0) nodes(out, 2, flattenMap(manifest.metadata, 'the metadata'));
  const { training, provenance } = manifest;
  if (training) message(out, 3, () => trainingState(out, training));
  if (provenance) message(out, 4, () => provenanceFields(out, provenance));
  out.uint32(tag(5, BYTES)).bytes(fromHex(manifest.contentId));
  const { delta } = manifest;
  if (delta) {
    out.uint32(tag(16, BYTES)).bytes(fromHex(delta.base));
    out.uint32(tag(17, VARINT)).uint32(delta.depth);
    text(out, 20, delta.file);
    text(out, 21, delta.lossy);
  }
  for (const part of manifest.kept) out.raw(part);
  return out.finish();
}

const fromHex = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'));

function message(out: Writer, field: number, body: () => void): void {
  out.uint32(tag(field, BYTES)).fork();
  body();
  out.ldelim();
}

function text(out: Writer, field: number, value: string | undefined): void {
  if (value !== undefined) out.uint32(tag(field, BYTES)).string(value);
}

/** A field without presence: the default is not written. */
const orNone = (value: string): string | undefined => (value === '' ? undefined : value);

function double(out: Writer, field: number, value: number | undefined): void {
  if (value !== undefined) out.uint32(tag(field, FIXED64)).double(value);
}

function packed(out: Writer, field: number, values: readonly number[], put: (value: number) => void): void {
  if (values.length > 0) message(out, field, () => values.forEach(put));
}

function tensor(out: Writer, record: TensorRecord): void {
  text(out, 1, orNone(record.name));
  const role = record.role === undefined ? 0 : ROLES.indexOf(record.role) + 1;
  if (record.aliasOf !== undefined) {
    text(out, 6, record.aliasOf);
    if (role > 0) out.uint32(tag(7, VARINT)).uint32(role);
    return;
  }
  text(out, 2, record.dtype);
  packed(out, 3, record.shape, (dim) => out.uint64(dim));
  if (record.byteLength > 0) out.uint32(tag(4, VARINT)).uint64(record.byteLength);
  out.uint32(tag(5, BYTES)).bytes(fromHex(record.sha256));
  if (role > 0) out.uint32(tag(7, VARINT)).uint32(role);
  text(out, 8, record.sameBytesAs);
  if (record.offset > 0) out.uint32(tag(9, VARINT)).uint64(record.offset);
  if (record.chunkBytes > 0) out.uint32(tag(10, VARINT)).uint32(record.chunkBytes);
  packed(out, 11, record.crcs, (crc) => out.fixed32(crc));
  packed(out, 12, record.codecs, (codec) => out.uint32(codec));
  packed(out, 13, record.storedLengths, (length) => out.uint32(length));
  packed(out, 14, record.rawCrcs, (crc) => out.fixed32(crc));
  if (record.nonces.byteLength > 0) out.uint32(tag(16, BYTES)).bytes(record.nonces);
  if (record.tags.byteLength > 0) out.uint32(tag(17, BYTES)).bytes(record.tags);
  text(out, 20, record.base);
  if (record.sameAsBase) out.uint32(tag(21, VARINT)).bool(true);
  const { prediction } = record;
  if (prediction) message(out, 22, () => predictionFields(out, prediction));
}

function predictionFields(out: Writer, prediction: Prediction): void {
  out.uint32(tag(1, VARINT)).uint32(PREDICTIONS.indexOf(prediction.kind) + 1);
  text(out, 2, orNone(prediction.first));
  if (prediction.kind === 'adam-weight') text(out, 3, prediction.second);
  packed(out, 4, prediction.scalars, (value) => out.float(value));
}

function nodes(out: Writer, field: number, flat: readonly FlatNode[]): void {
  for (const node of flat) message(out, field, () => writeNode(out, node));
}

function writeNode(out: Writer, node: FlatNode): void {
  switch (node.kind) {
    case 'none':
      out.uint32(tag(1, VARINT)).bool(true);
      return;
    case 'bool':
      out.uint32(tag(2, VARINT)).bool(node.value);
      return;
    case 'int':
      out.uint32(tag(3, BYTES)).bytes(twosComplement(node.value));
      return;
    case 'float':
      out.uint32(tag(4, FIXED64)).double(node.value);
      return;
    case 'string':
      text(out, 5, node.value);
      return;
    case 'bytes':
      out.uint32(tag(6, BYTES)).bytes(node.value);
      return;
    case 'complex':
      message(out, 7, () => {
        double(out, 1, node.re);
        double(out, 2, node.im);
      });
      return;
    case 'tensor':
      message(out, 13, () => {
        text(out, 1, orNone(node.name));
        if (node.parameter !== undefined) out.uint32(tag(2, VARINT)).bool(node.parameter);
        if (node.requiresGrad !== undefined) out.uint32(tag(3, VARINT)).bool(node.requiresGrad);
      });
      return;
    case 'opaque':
      message(out, 14, () => {
        text(out, 1, orNone(node.type));
        text(out, 2, orNone(node.text));
      });
      return;
    default:
      out.uint32(tag(CONTAINER_FIELDS[node.kind], VARINT)).uint32(node.count);
  }
}

export const CONTAINER_FIELDS = { list: 8, tuple: 9, set: 10, dict: 11, ordered_dict: 12 } as const;

/** Shortest little-endian two's complement; 0 is no bytes. */
export function twosComplement(value: bigint): Uint8Array {
  if (value === 0n) return new Uint8Array();
  const magnitude = value < 0n ? -value - 1n : value;
  const bytes = Math.floor(magnitude.toString(16).length / 2) + 1; // one more than needed at most
  const hex = BigInt.asUintN(bytes * 8, value)
    .toString(16)
    .padStart(bytes * 2, '0');
  const little = Buffer.from(hex, 'hex').reverse();
  const [last, before] = [little.at(-1), little.at(-2)];
  const spare = before !== undefined && last === (before >= 0x80 ? 0xff : 0);
  return new Uint8Array(spare ? little.subarray(0, -1) : little);
}

function trainingState(out: Writer, training: TrainingState): void {
  nodes(out, 1, flattenState(training.tree));
  double(out, 2, training.step);
  double(out, 3, training.epoch);
  double(out, 4, training.loss);
  double(out, 5, training.learningRate);
  text(out, 6, training.optimizer);
}

function provenanceFields(out: Writer, provenance: Provenance): void {
  text(out, 1, provenance.framework);
  text(out, 2, provenance.frameworkVersion);
  text(out, 3, provenance.gitCommit);
  text(out, 4, provenance.datasetVersion);
  text(out, 5, provenance.modelVersion);
  if (provenance.parent !== undefined) out.uint32(tag(6, BYTES)).bytes(fromHex(provenance.parent));
  if (provenance.hyperParameters)
    nodes(out, 7, flattenMap(provenance.hyperParameters, 'the hyper-parameters'));
}
