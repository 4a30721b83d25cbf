import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { sniff } from '../../../src/formats/pytorch/sniff.js';
import { archive, assemble, fixture, fixtureBytes } from './support.js';

const head = (bytes: Uint8Array): Uint8Array => bytes.subarray(0, 65_536);

describe('sniff', () => {
  it.each(readdirSync(fixture('.')).filter((name) => name.endsWith('.pt')))('%s', (name) => {
    expect(sniff(head(fixtureBytes(name)), 'no-extension')).toBe(3);
  });

  it('knows index files by the shards they name', () => {
    const index = fixtureBytes('sharded_bin/pytorch_model.bin.index.json');
    expect(sniff(index, 'pytorch_model.bin.index.json')).toBe(3);
    expect(sniff(index, 'model.safetensors.index.json')).toBe(0);
  });

  it('leaves other archives and files alone', async () => {
    expect(sniff(await archive(new Map([['a.npy', Buffer.from('x')]])), 'a.pt')).toBe(0);
    expect(sniff(await archive(new Map([['a.txt', Buffer.from('x')]])), 'a.zip')).toBe(0);
    expect(sniff(Buffer.from('<!doctype html>'), 'model.pt')).toBe(0);
    expect(sniff(new Uint8Array(), 'model.pt')).toBe(0);
  });

  it('takes plain pickles by their name', () => {
    expect(sniff(assemble(0x80, 4, '}.'), 'a.bin')).toBe(2);
    expect(sniff(assemble(0x80, 4, '}.'), 'a.dat')).toBe(1);
    expect(sniff(assemble(0x80, 9, '}.'), 'a.pt')).toBe(0);
  });
});
