import { readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { convertModel } from '../../../src/operations/convert.js';
import { withModel } from '../../../src/operations/open.js';
import { apply, checkpoint, contentOf, context, create, newFolder, PROVED } from '../../support/deltas.js';

/** Two steps of one training, each in every form in which a checkpoint comes. */
const FORMS = ['pt', 'safetensors', 'npz', 'mlck', 'bf16.safetensors'] as const;
const folder = newFolder();
const at = (name: string): string => path.join(folder, name);
const fileOf = (step: number, form: string): string =>
  ['npz', 'mlck'].includes(form) ? at(`${step}.${form}`) : checkpoint(`step0${step}.${form}`);

/** Conversion through a whole native checkpoint: what a delta has to equal. */
const convert = (input: string, output: string, compress = false) =>
  convertModel(input, output, { ...PROVED, compress }, context);

beforeAll(async () => {
  for (const step of [180, 200]) {
    await convert(checkpoint(`step0${step}.pt`), at(`${step}.npz`), true);
    await convert(checkpoint(`step0${step}.pt`), at(`${step}.mlck`), true);
  }
  for (const form of FORMS) await convert(fileOf(200, form), at(`whole.${form}.mlck`));
});

describe.each(FORMS)('a delta to a base in %s', (from) => {
  it.each(FORMS)('of a checkpoint in %s gives it back: tensors, metadata, training state', async (form) => {
    const [base, next] = [fileOf(180, from), fileOf(200, form)];
    const file = at(`${from}-${form}.mlck`);
    const report = await create(base, next, file);
    const content = await contentOf(next);
    expect(report).toMatchObject({
      base: { content: await contentOf(base) },
      target: { content },
      depth: 1,
      validation: { passed: true },
    });
    await withModel(file, { bases: [base] }, async ({ model }) => {
      expect(model.recordedContent).toBe(content);
      expect(model.findings).toEqual([]);
      await withModel(at(`whole.${form}.mlck`), {}, async ({ model: whole }) => {
        expect(model.tensors.map(({ info, role }) => ({ ...info, role }))).toEqual(
          whole.tensors.map(({ info, role }) => ({ ...info, role })),
        );
        expect(model.training).toEqual(whole.training);
        expect([...model.metadata]).toEqual([...whole.metadata]);
        expect([...model.aliases]).toEqual([...whole.aliases]);
      });
    });
    await apply(base, [file], at('applied.mlck'));
    expect(await contentOf(at('applied.mlck'))).toBe(content);
  });
});

describe('what is rebuilt', () => {
  it.each(['pt', 'safetensors', 'npz', 'mlck'])(
    'as %s is byte for byte what the whole checkpoint gives in that format',
    async (extension) => {
      await create(checkpoint('step0180.safetensors'), checkpoint('step0200.pt'), at('d.mlck'), {
        force: true,
      });
      await apply(checkpoint('step0180.safetensors'), [at('d.mlck')], at(`rebuilt.${extension}`));
      await convert(at('whole.pt.mlck'), at(`direct.${extension}`));
      const [rebuilt, direct] = ['rebuilt', 'direct'].map((name) => readFileSync(at(`${name}.${extension}`)));
      expect(Buffer.compare(rebuilt!, direct!)).toBe(0);
    },
  );

  it('is the same through a chain, one delta at a time or all at once', async () => {
    const steps = [140, 160, 180, 200].map((step) => checkpoint(`step0${step}.pt`));
    const deltas: string[] = [];
    for (let i = 1; i < steps.length; i++) {
      deltas.push(at(`chain${i}.mlck`));
      await create(steps[i - 1]!, steps[i]!, deltas[i - 1]!);
    }
    const contents = await Promise.all(steps.map((step) => contentOf(step)));
    await apply(steps[0]!, deltas, at('end.pt'));
    expect(await contentOf(at('end.pt'))).toBe(contents[3]);
    await apply(steps[1]!, deltas.slice(1), at('part.pt'));
    expect(await contentOf(at('part.pt'))).toBe(contents[3]);
    await apply(steps[0]!, deltas.slice(0, 2), at('middle.pt'));
    expect(await contentOf(at('middle.pt'))).toBe(contents[2]);
  });
});
