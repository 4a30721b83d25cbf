import { describe, expect, it } from 'vitest';
import { encodeFooter } from '../../../src/formats/mlck/frame.js';
import { FOOTER_BYTES } from '../../../src/formats/mlck/layout.js';
import { crc32 } from '../../../src/io/crc32.js';
import { checkpointModel } from '../../support/checkpoint-model.js';
import { changed, manifestOf, open, withManifest, write } from './files.js';

/** The file with a footer that says something else, correctly summed. */
function withFooter(bytes: Uint8Array, change: (view: DataView) => void): Uint8Array {
  const copy = Uint8Array.from(bytes);
  const at = copy.byteLength - FOOTER_BYTES;
  const view = new DataView(copy.buffer, at, FOOTER_BYTES);
  change(view);
  view.setUint32(56, crc32(copy.subarray(at, at + 56)), true);
  return copy;
}

/** Field `number`, a text. */
const field = (number: number, text: string): Uint8Array => {
  const tag = (number << 3) | 2;
  const varint = tag < 0x80 ? [tag] : [(tag & 0x7f) | 0x80, tag >> 7];
  return Buffer.concat([Uint8Array.from([...varint, text.length]), Buffer.from(text)]);
};

async function rawManifest(bytes: Uint8Array): Promise<Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset + bytes.byteLength - FOOTER_BYTES);
  const offset = Number(view.getBigUint64(0, true));
  return bytes.subarray(offset, offset + Number(view.getBigUint64(8, true)));
}

describe('versions', () => {
  it('a newer major is refused, naming the version that is needed', async () => {
    const bytes = Uint8Array.from(await write(checkpointModel()));
    bytes[8] = 2;
    await expect(open(bytes)).rejects.toMatchObject({
      code: 'E_UNSUPPORTED',
      message: expect.stringContaining('format version 2'),
      hint: expect.stringContaining('version 2'),
      details: { needed: 'format 2', supported: 1 },
    });
    const footer = withFooter(await write(checkpointModel()), (view) => view.setUint16(48, 3, true));
    await expect(open(footer)).rejects.toMatchObject({ code: 'E_UNSUPPORTED', details: { found: 3 } });
  });

  it('a newer major is named even where the rest of the file means nothing to us', async () => {
    const bytes = new Uint8Array(500);
    bytes.set((await write(checkpointModel())).subarray(0, 8));
    bytes[8] = 7;
    await expect(open(bytes)).rejects.toMatchObject({ code: 'E_UNSUPPORTED', details: { found: 7 } });
  });

  it('version 0 does not exist', async () => {
    const bytes = Uint8Array.from(await write(checkpointModel()));
    bytes[8] = 0;
    await expect(open(bytes)).rejects.toMatchObject({ code: 'E_MALFORMED' });
  });

  it('a newer minor is read, with a remark', async () => {
    const newer = withFooter(await write(checkpointModel()), (view) => view.setUint16(50, 9, true));
    const model = await open(newer);
    expect(model.formatVersion).toBe('1.9');
    expect(model.findings).toMatchObject([{ code: 'NEWER_MINOR_VERSION', severity: 'info' }]);
    expect(model.tensors.length).toBe(checkpointModel().tensors.length);
  });

  it('unknown fields are passed over; those that may be copied are kept when the file is written again', async () => {
    const bytes = await write(checkpointModel());
    const kept = field(1000, 'signed by nobody');
    const newer = withManifest(
      bytes,
      Buffer.concat([field(900, 'new'), await rawManifest(bytes), kept, field(1001, 'x'), field(6, 'too')]),
    );
    const model = await open(newer);
    expect(model.findings.map(({ code, severity }) => [code, severity])).toEqual([
      ['UNKNOWN_FIELDS', 'info'],
      ['UNKNOWN_FIELDS_KEPT', 'info'],
    ]);
    expect(model.training).toEqual(checkpointModel().training);
    const again = await manifestOf(await write(model));
    expect(again.kept.map((part) => Buffer.from(part))).toEqual([kept, field(1001, 'x')].map(Buffer.from));
    expect(again.skipped.size).toBe(0);
    expect((await open(await write({ ...model, unknown: { format: 'other', parts: [kept] } }))).unknown).toBe(
      undefined,
    );
  });

  it('features that a reader must know are refused, unless it knows them', async () => {
    for (const features of [8, 9, 2 ** 31]) {
      const newer = withFooter(await write(checkpointModel()), (view) => view.setUint32(52, features, true));
      await expect(open(newer)).rejects.toMatchObject({ code: 'E_UNSUPPORTED', details: { features } });
    }
    const encrypted = withFooter(await write(checkpointModel()), (view) => view.setUint32(52, 1, true));
    await expect(open(encrypted)).rejects.toMatchObject({ code: 'E_USAGE' });
  });

  it('a delta says so in its footer and in its manifest', async () => {
    const bytes = await write(checkpointModel());
    const onlyFooter = withFooter(bytes, (view) => view.setUint32(52, 2, true));
    await expect(open(onlyFooter)).rejects.toMatchObject({ code: 'E_MALFORMED' });
    const delta = { base: 'ab'.repeat(32), depth: 1 };
    const onlyManifest = await changed(bytes, () => ({ delta }));
    await expect(open(onlyManifest)).rejects.toMatchObject({ code: 'E_MALFORMED' });
    const both = await open(withFooter(onlyManifest, (view) => view.setUint32(52, 2, true)));
    expect(both.delta).toEqual(delta);
    expect(both.findings).toMatchObject([{ code: 'BASE_NOT_FOUND' }]);
  });

  it('a chunk that needs a base which its tensor does not name is refused', async () => {
    const bytes = await write(checkpointModel());
    const based = (record: object) =>
      changed(bytes, ({ tensors }) => ({
        delta: { base: 'ab'.repeat(32), depth: 1 },
        tensors: tensors.map((found) =>
          found.name === 'scalar' ? { ...found, codecs: [18], storedLengths: [8], ...record } : found,
        ),
      }));
    const asDelta = async (record: object) =>
      withFooter(await based(record), (view) => view.setUint32(52, 2, true));
    const malformed = { code: 'E_MALFORMED', details: { tensor: 'scalar' } };
    await expect(open(await asDelta({ rawCrcs: [1] }))).rejects.toMatchObject(malformed);
    await expect(open(await asDelta({ base: 'scalar' }))).rejects.toMatchObject(malformed);
    await expect(open(await changed(await asDelta({}), () => ({ delta: undefined })))).rejects.toMatchObject(
      malformed,
    );
    const fine = await open(await asDelta({ base: 'scalar', rawCrcs: [1] }));
    expect(fine.delta?.depth).toBe(1);
  });

  it('a codec that we lack is refused for its tensor, not for the file', async () => {
    const bytes = await changed(await write(checkpointModel()), ({ tensors }) => ({
      tensors: tensors.map((record) =>
        record.name === 'scalar' ? { ...record, codecs: [99], storedLengths: [8] } : record,
      ),
    }));
    const model = await open(bytes);
    const tensor = model.tensors.find(({ info }) => info.name === 'scalar');
    expect(tensor?.recipe).toBe(undefined);
    expect(tensor?.location).toBe(undefined);
    await expect(tensor?.stream()[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      code: 'E_UNSUPPORTED',
      details: { codec: 99, tensor: 'scalar' },
    });
  });

  it('a type that we lack is refused by name; an unknown role reads as none', async () => {
    const bytes = await write(checkpointModel());
    const [first] = (await manifestOf(bytes)).tensors;
    const change = async (record: Partial<NonNullable<typeof first>>) =>
      changed(bytes, ({ tensors }) => ({ tensors: [{ ...tensors[0]!, ...record }] }));
    await expect(open(await change({ dtype: 'f7' }))).rejects.toMatchObject({
      code: 'E_UNSUPPORTED',
      details: { dtype: 'f7', tensor: 'layer.weight' },
    });
    const manifest = await rawManifest(await change({ role: 'constant' }));
    const at = Buffer.from(manifest).indexOf(Buffer.of(0x38, 4)); // role = 4
    const odd = Uint8Array.from(manifest);
    odd[at + 1] = 77;
    expect((await open(withManifest(bytes, odd))).tensors[0]?.role).toBe(undefined);
  });
});

it('the footer is what the specification says', () => {
  const footer = encodeFooter(0x0102, Uint8Array.of(1, 2, 3));
  expect(footer.byteLength).toBe(64);
  expect([...footer.subarray(0, 16)]).toEqual([2, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
  expect([...footer.subarray(48, 56)]).toEqual([1, 0, 1, 0, 0, 0, 0, 0]);
  expect(Buffer.from(footer.subarray(60)).toString('latin1')).toBe('KCLM');
});
