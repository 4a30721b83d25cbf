import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Model } from '../../../src/core/model.js';
import { openInput } from '../../../src/formats/open.js';
import { dtypeOf } from '../../support/reference-dtypes.js';

const fixtures = path.resolve(import.meta.dirname, '../../../fixtures/safetensors');

interface Facts {
  readonly name: string;
  readonly dtype: string;
  readonly shape: number[];
  readonly sha256: string;
}
const json = (file: string) => JSON.parse(readFileSync(path.join(fixtures, file), 'utf8'));

async function read(file: string): Promise<{ model: Model; hashes: Map<string, string> }> {
  const { files, descriptor } = await openInput(path.join(fixtures, file));
  try {
    expect(descriptor.id).toBe('safetensors');
    const model = await (await descriptor.reader()).read(files, {});
    const hashes = new Map<string, string>();
    for (const tensor of model.tensors) {
      const hash = createHash('sha256');
      for await (const chunk of tensor.stream()) hash.update(chunk);
      hashes.set(tensor.info.name, hash.digest('hex'));
    }
    return { model, hashes };
  } finally {
    await files.close();
  }
}

function expectTensors({ model, hashes }: Awaited<ReturnType<typeof read>>, facts: readonly Facts[]): void {
  const found = model.tensors.map(({ info }) => ({ ...info, sha256: hashes.get(info.name) }));
  const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1);
  const wanted = facts.map(({ name, dtype, shape, sha256 }) => ({
    name,
    dtype: dtypeOf(dtype),
    shape,
    sha256,
  }));
  expect(found.sort(byName)).toEqual(wanted.sort(byName));
}

describe('safetensors reader', () => {
  const golden = readdirSync(fixtures).filter((name) => name.endsWith('.safetensors'));

  it.each(golden)('%s equals what the reference library read', async (name) => {
    const facts = json(`${name}.json`);
    const result = await read(name);
    expectTensors(result, facts.tensors);
    expect(Object.fromEntries(result.model.metadata)).toEqual(facts.metadata ?? {});
  });

  it.each(json('edge/verdicts.json').files as { file: string; accepted: boolean; tensors: Facts[] }[])(
    'edge/$file',
    async ({ file, accepted, tensors }) => {
      if (accepted && !file.startsWith('duplicate_key')) expectTensors(await read(`edge/${file}`), tensors);
      else await expect(read(`edge/${file}`)).rejects.toMatchObject({ name: 'MlserError' });
    },
  );

  it.each(['sharded', 'sharded/model.safetensors.index.json'])('reads shards: %s', async (input) => {
    const result = await read(input);
    expectTensors(result, json('sharded/expected.json').tensors);
    expect(result.model.findings).toEqual([]);
    expect([...result.model.metadata]).toEqual([
      ['format', 'pt'],
      ['head.weight', 'embed.weight'],
    ]);
    expect(result.model.tensors.map((tensor) => tensor.info.name)).toEqual(
      Object.keys(json('sharded/model.safetensors.index.json').weight_map),
    );
  });

  it('says where bytes lie, so that workers and ONNX can use them', async () => {
    const { model } = await read('mlp_state_dict.safetensors');
    expect(model.tensors[0]).toMatchObject({
      location: { file: 'mlp_state_dict.safetensors', offset: 456 },
      recipe: { path: path.join(fixtures, 'mlp_state_dict.safetensors'), offset: 456, length: 128 },
    });
  });
});
