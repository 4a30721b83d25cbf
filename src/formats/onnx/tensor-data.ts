import { rangeTensor, type TensorSource } from '../../core/tensor.js';
import { checkRange } from '../../io/source.js';
import { DATA, type DataSpan, dataFieldName, ELEMENT_WIRE } from './data-span.js';
import type { ExternalData } from './external-data.js';
import { invalid } from './invalid.js';
import { rememberContent } from './origins.js';
import type { TensorProto } from './schema.js';
import { type TensorFacts, tensorFacts, typedEntries } from './tensor-facts.js';
import { stringChunks, typedChunks } from './typed-data.js';

/** Typed fields up to this size are decoded when the model is opened, so that their faults show at once. */
const DECODE_AT_ONCE_BYTES = 64 * 1024;

/**
 * A TensorProto as a lazy tensor, its declaration checked against the bytes that are there.
 * raw_data, packed fixed-width fields and external data are ranges of a file; varint fields are decoded as they are pulled.
 */
export async function openTensor(
  tensor: TensorProto,
  name: string,
  file: string,
  external: ExternalData,
): Promise<TensorSource> {
  const facts = tensorFacts(tensor, name, file);
  if (tensor.dataLocation === 1) {
    const outside = await externalTensor(tensor, facts, external);
    rememberContent(tensor, outside);
    return outside;
  }
  return internalTensor(tensor, facts);
}

/** A TensorProto that holds its own data as a lazy tensor. */
export async function internalTensor(tensor: TensorProto, facts: TensorFacts): Promise<TensorSource> {
  if (facts.type.dtype === 'str') return stringTensor(tensor.data, facts);
  const { field } = facts;
  if (field === undefined) return emptyTensor(facts);
  const spans = tensor.data.filter((span) => span.length > 0);
  const [span] = spans;
  if (field === DATA.raw && span) {
    if (span.length !== facts.byteLength) throw wrongSize(facts, `raw_data has ${span.length}`);
    return rangeOf(span, facts);
  }
  const wire = ELEMENT_WIRE[field];
  if (wire !== 0 && span && spans.length === 1 && span.form === 'payload') {
    if (span.length !== facts.byteLength)
      throw wrongSize(facts, `${dataFieldName(field)} has ${span.length}`);
    return rangeOf(span, facts);
  }
  return typedTensor(spans, facts);
}

const wrongSize = (facts: TensorFacts, found: string) =>
  invalid(`${facts.label}: needs ${facts.byteLength} bytes, ${found}`, {
    file: facts.file,
    tensor: facts.info.name,
    needed: facts.byteLength,
  });

const emptyTensor = (facts: TensorFacts): TensorSource => ({
  info: facts.info,
  byteLength: 0,
  async *stream() {},
});

function rangeOf(span: DataSpan, { info, byteLength }: TensorFacts): TensorSource {
  const { bytes, file, content } = span;
  const ranged = file && rangeTensor(info, file.source, file.offset, { byteLength });
  if (bytes)
    return {
      ...(ranged ?? { info, byteLength }),
      async *stream(range = { start: 0, end: byteLength }) {
        yield bytes.slice(range.start, range.end);
      },
    };
  if (ranged) return ranged;
  if (content) return { ...content, info };
  throw new Error(`${info.name} has no bytes`);
}

async function externalTensor(
  tensor: TensorProto,
  facts: TensorFacts,
  external: ExternalData,
): Promise<TensorSource> {
  const { source, offset, verify } = await external.open(tensor, facts);
  const { info, byteLength } = facts;
  if (byteLength === 0) return emptyTensor(facts);
  checkRange(source, offset, byteLength);
  const ranged = rangeTensor(info, source, offset, { byteLength });
  if (!verify) return ranged;
  const { recipe: _, ...unproved } = ranged; // workers would read the bytes before they are proved
  return {
    ...unproved,
    async *stream(range) {
      await verify();
      yield* ranged.stream(range);
    },
  };
}

/** Only the part [start, end) of chunks that come in order. */
async function* part(
  chunks: AsyncIterable<Uint8Array>,
  start: number,
  end: number,
): AsyncGenerator<Uint8Array> {
  let at = 0;
  for await (const chunk of chunks) {
    const from = Math.max(0, start - at);
    const to = Math.min(chunk.byteLength, end - at);
    if (from < to) yield from === 0 && to === chunk.byteLength ? chunk : chunk.slice(from, to);
    at += chunk.byteLength;
    if (at >= end && end > 0) break;
  }
}

async function typedTensor(spans: readonly DataSpan[], facts: TensorFacts): Promise<TensorSource> {
  const { info, byteLength, label, file, field } = facts;
  const fieldName = field === undefined ? 'data' : dataFieldName(field);
  const wireBytes = spans.reduce((sum, span) => sum + span.length, 0);
  const entries = typedEntries(facts);
  // Each entry takes at least a byte: a shape that the bytes cannot fill is refused before anything is allocated.
  if (entries > wireBytes)
    throw invalid(`${label}: ${fieldName} of ${wireBytes} bytes cannot hold ${entries} entries`, {
      file,
      tensor: info.name,
      needed: entries,
    });
  const stream = (range = { start: 0, end: byteLength }): AsyncGenerator<Uint8Array> =>
    part(typedChunks(facts, spans), range.start, range.end);
  if (wireBytes > DECODE_AT_ONCE_BYTES) {
    await checkLastVarint(spans, facts);
    return { info, byteLength, stream };
  }
  const chunks: Uint8Array[] = [];
  for await (const chunk of typedChunks(facts, spans)) chunks.push(chunk);
  return {
    info,
    byteLength,
    async *stream(range = { start: 0, end: byteLength }) {
      yield* part(copies(chunks), range.start, range.end);
    },
  };
}

async function* copies(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield chunk.slice();
}

/** A large packed field whose last varint does not end was cut: said when the model is opened. */
async function checkLastVarint(spans: readonly DataSpan[], facts: TensorFacts): Promise<void> {
  for (const { form, field, file, length } of spans) {
    if (form !== 'payload' || ELEMENT_WIRE[field] !== 0 || !file) continue;
    const [last] = await file.source.read(file.offset + length - 1, 1);
    if (last !== undefined && last >= 0x80)
      throw invalid(`${facts.label}: ${dataFieldName(field)} ends inside a varint`, {
        file: facts.file,
        tensor: facts.info.name,
        offset: file.offset + length - 1,
      });
  }
}

function stringTensor(spans: readonly DataSpan[], facts: TensorFacts): TensorSource {
  const { info, byteLength, elements, label, file } = facts;
  const strings = spans.reduce((sum, span) => sum + span.records, 0);
  if (strings !== elements)
    throw invalid(`${label}: string_data has ${strings} strings, the shape needs ${elements}`, {
      file,
      tensor: info.name,
      needed: elements,
    });
  return {
    info,
    byteLength,
    stream: (range = { start: 0, end: byteLength }) => part(stringChunks(spans), range.start, range.end),
  };
}
