import { copyFileSync, cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../../src/core/limits.js';
import { convertModel } from '../../../src/operations/convert.js';
import { squashDeltas } from '../../../src/operations/delta/create.js';
import { logDelta } from '../../../src/operations/delta/log.js';
import { verifyDelta } from '../../../src/operations/delta/verify.js';
import { inspectModel } from '../../../src/operations/inspect.js';
import { openModel } from '../../../src/operations/open.js';
import {
  apply,
  checkpoint,
  contentOf,
  context,
  create,
  modelOf,
  newFolder,
  noise,
  nudged,
  PROVED,
  refusal,
  save,
  tensor,
} from '../../support/deltas.js';

/** base.safetensors and delta.mlck side by side, and what the delta unfolds to. */
async function pair(): Promise<{ folder: string; base: string; delta: string; content: string }> {
  const folder = newFolder();
  const base = path.join(folder, 'base.safetensors');
  const delta = path.join(folder, 'delta.mlck');
  copyFileSync(checkpoint('step0180.safetensors'), base);
  await create(base, checkpoint('step0200.safetensors'), delta);
  return { folder, base, delta, content: await contentOf(checkpoint('step0200.safetensors')) };
}

describe('a base is found', () => {
  it('beside the delta under the name it had, and by its content if it was renamed', async () => {
    const { folder, base, delta, content } = await pair();
    expect(await contentOf(delta)).toBe(content);
    // A native checkpoint says which content it has; other files would have to be hashed.
    await convertModel(base, path.join(folder, 'whole.mlck'), PROVED, context);
    rmSync(base);
    renameSync(path.join(folder, 'whole.mlck'), path.join(folder, 'another name.mlck'));
    expect(await contentOf(delta)).toBe(content);
  });

  it('although other files lie there, damaged ones too', async () => {
    const { folder, base, delta, content } = await pair();
    await convertModel(base, path.join(folder, 'z.mlck'), PROVED, context);
    await convertModel(checkpoint('step0200.pt'), path.join(folder, 'a.mlck'), PROVED, context);
    writeFileSync(path.join(folder, 'b.mlck'), 'no checkpoint');
    mkdirSync(path.join(folder, 'c.mlck'));
    rmSync(base);
    expect(await contentOf(delta)).toBe(content);
  });

  it('where --base names it, in any format', async () => {
    const { folder, base, delta, content } = await pair();
    const elsewhere = newFolder();
    renameSync(base, path.join(elsewhere, 'moved.safetensors'));
    for (const name of ['moved.npz', 'moved.mlck'])
      await convertModel(
        path.join(elsewhere, 'moved.safetensors'),
        path.join(elsewhere, name),
        PROVED,
        context,
      );
    for (const name of ['moved.safetensors', 'moved.npz', 'moved.mlck']) {
      const bases = [path.join(elsewhere, name)];
      const work = { ...context, bases };
      expect(await contentOf(delta, { bases }), name).toBe(content);
      await convertModel(delta, path.join(folder, 'out.safetensors'), { ...PROVED, force: true }, work);
      expect(await contentOf(path.join(folder, 'out.safetensors'))).toBe(content);
    }
  });
});

describe('without its base', () => {
  it('names and shapes can be told, and a finding says what is missing', async () => {
    const { base, delta } = await pair();
    rmSync(base);
    const report = await inspectModel(delta, {}, context);
    expect(report.findings).toMatchObject([{ code: 'BASE_NOT_FOUND', severity: 'warning' }]);
    expect(report.tensors).toHaveLength(58);
    const log = await logDelta(delta, context);
    expect(log.entries).toMatchObject([{ name: 'delta.mlck', depth: 1 }]);
  });

  it('everything that needs bytes is E_NOT_FOUND with a hint', async () => {
    const { folder, base, delta } = await pair();
    const content = await contentOf(base);
    rmSync(base);
    const out = path.join(folder, 'out.safetensors');
    for (const work of [
      contentOf(delta),
      inspectModel(delta, { hashes: true }, context),
      inspectModel(delta, { stats: true }, context),
      verifyDelta(delta, context),
      convertModel(delta, out, PROVED, context),
    ]) {
      const error = await refusal(work);
      expect(error.code).toBe('E_NOT_FOUND');
      expect(error.message).toContain(content);
      expect(error.hint).toContain('--base');
    }
    expect(await refusal(apply(base, [delta], out))).toMatchObject({ code: 'E_NOT_FOUND' });
  });

  it('no neighbour is taken for it, whatever its name is', async () => {
    const { folder, base, delta } = await pair();
    rmSync(base);
    await convertModel(checkpoint('step0200.pt'), path.join(folder, 'base.mlck'), PROVED, context);
    expect((await refusal(contentOf(delta))).code).toBe('E_NOT_FOUND');
  });
});

describe('another base', () => {
  /** As the bytes say it, and as a file says it of itself. */
  it.each(['safetensors', 'mlck', 'npz'])(
    'in %s is E_BASE_MISMATCH that names both contents',
    async (extension) => {
      const { folder, base, delta } = await pair();
      const [needed, found] = [await contentOf(base), await contentOf(checkpoint('step0200.safetensors'))];
      rmSync(base);
      const wrong = path.join(folder, `wrong.${extension}`);
      await convertModel(checkpoint('step0200.safetensors'), wrong, PROVED, context);
      const bases = { ...context, bases: [wrong] };
      for (const work of [
        apply(wrong, [delta], path.join(folder, 'out.safetensors')),
        squashDeltas(wrong, [delta], path.join(folder, 'out.mlck'), PROVED, context),
        contentOf(delta, { bases: [wrong] }),
        convertModel(delta, path.join(folder, 'out.npz'), PROVED, bases),
      ])
        expect(await refusal(work)).toMatchObject({
          code: 'E_BASE_MISMATCH',
          details: { needed, found },
          hint: expect.stringContaining('base'),
        });
      expect(await verifyDelta(delta, bases)).toMatchObject({
        passed: false,
        checks: [{ ok: false, error: { code: 'E_BASE_MISMATCH' } }],
      });
    },
  );

  it('is found out at the bottom of a chain', async () => {
    const folder = newFolder();
    const steps = [140, 160, 180, 200].map((step) => checkpoint(`step0${step}.pt`));
    const deltas = [1, 2, 3].map((i) => path.join(folder, `${i}.mlck`));
    for (const [i, file] of deltas.entries()) await create(steps[i]!, steps[i + 1]!, file);
    const wrong = checkpoint('step0160.pt');
    const details = { needed: await contentOf(steps[0]!), found: await contentOf(wrong) };
    for (const count of [1, 2, 3])
      expect(
        await refusal(apply(wrong, deltas.slice(0, count), path.join(folder, 'out.pt'))),
        `${count}`,
      ).toMatchObject({ code: 'E_BASE_MISMATCH', details });
    // One is left out.
    expect(
      await refusal(apply(steps[0]!, [deltas[0]!, deltas[2]!], path.join(folder, 'out.pt'))),
    ).toMatchObject({
      code: 'E_BASE_MISMATCH',
    });
  });

  it('that was named is refused though the right one lies beside the delta', async () => {
    const { folder, base, delta } = await pair();
    const wrong = path.join(folder, 'wrong.mlck');
    await convertModel(checkpoint('step0200.safetensors'), wrong, PROVED, context);
    const details = { needed: await contentOf(base), found: await contentOf(wrong) };
    for (const work of [
      apply(wrong, [delta], path.join(folder, 'out.safetensors')),
      squashDeltas(wrong, [delta], path.join(folder, 'out.mlck'), PROVED, context),
    ])
      expect(await refusal(work)).toMatchObject({ code: 'E_BASE_MISMATCH', details });
  });

  it('and deltas in another order are refused', async () => {
    const folder = newFolder();
    const steps = [160, 180, 200].map((step) => checkpoint(`step0${step}.pt`));
    const [first, second] = ['1.mlck', '2.mlck'].map((name) => path.join(folder, name)) as [string, string];
    await create(steps[0]!, steps[1]!, first);
    await create(first, steps[2]!, second, {}, { ...context, ...{ bases: [steps[0]!] } });
    await apply(steps[0]!, [first, second], path.join(folder, 'out.pt'));
    expect(await contentOf(path.join(folder, 'out.pt'))).toBe(await contentOf(steps[2]!));
    for (const work of [
      apply(steps[0]!, [second, first], path.join(folder, 'x.pt')),
      squashDeltas(steps[0]!, [second, first], path.join(folder, 'x.mlck'), PROVED, context),
    ])
      expect(await refusal(work)).toMatchObject({ code: 'E_USAGE', details: { delta: second } });
  });

  it('without a tensor that is needed is E_BASE_MISMATCH too', async () => {
    const { folder, base, delta } = await pair();
    const part = path.join(folder, 'part.safetensors');
    await convertModel(base, part, { ...PROVED, include: [/^model/] }, context);
    expect(await refusal(apply(part, [delta], path.join(folder, 'out.safetensors')))).toMatchObject({
      code: 'E_BASE_MISMATCH',
      details: { tensor: expect.stringContaining('optimizer') },
    });
  });

  it('that is too large to be hashed first is told by the sums of what comes out', async () => {
    const folder = newFolder();
    const at = (name: string): string => path.join(folder, name);
    const bytes = noise(4096, 5);
    const large = new Uint8Array(65 << 20); // past what is hashed before anything is written
    const model = (small: Uint8Array, kept: Uint8Array, last = 0) => {
      const zeros = Uint8Array.from(large);
      zeros[zeros.length - 1] = last;
      return modelOf([
        tensor('changes', 'f32', [1024], small),
        tensor('stays', 'f32', [1024], kept),
        tensor('large', 'u8', [zeros.length], zeros),
      ]);
    };
    await save(model(bytes, bytes), at('base.safetensors'));
    await save(model(nudged(bytes, 64), bytes), at('next.safetensors'));
    await create(at('base.safetensors'), at('next.safetensors'), at('delta.mlck'));
    // Wrong in a tensor that is a difference, in one that is taken as it is, in the large one.
    for (const [i, wrong] of [
      model(nudged(bytes, 100), bytes),
      model(bytes, nudged(bytes, 4000, 5)),
      model(bytes, bytes, 1),
    ].entries()) {
      await save(wrong, at('wrong.safetensors'));
      for (const threads of i === 0 ? [1, 2] : [2])
        expect(
          await refusal(
            apply(at('wrong.safetensors'), [at('delta.mlck')], at('out.safetensors'), {
              ...context,
              threads,
            }),
          ),
          `${i}, ${threads} threads`,
        ).toMatchObject({
          code: 'E_BASE_MISMATCH',
          details: {
            needed: await contentOf(at('base.safetensors')),
            found: await contentOf(at('wrong.safetensors')),
          },
        });
    }
    rmSync(folder, { recursive: true });
  });
});

describe('chains', () => {
  it('that go round in a circle end', async () => {
    const folder = newFolder();
    const at = (name: string): string => path.join(folder, name);
    const [a, b] = [checkpoint('step0180.safetensors'), checkpoint('step0200.safetensors')];
    await create(a, b, at('b.mlck'));
    await create(b, a, at('a.mlck'));
    // Each has the content that the other one needs.
    expect((await refusal(contentOf(at('a.mlck')))).code).toBe('E_LIMIT');
    copyFileSync(a, at('step0180.safetensors'));
    expect(await contentOf(at('a.mlck'))).toBe(await contentOf(a));
  });

  it('have a limit, when they are read and when they are made', async () => {
    const folder = newFolder();
    const at = (name: string): string => path.join(folder, name);
    let bytes = noise(64, 3);
    const model = () => modelOf([tensor('w', 'f32', [16], bytes)]);
    await save(model(), at('0.mlck'));
    const delta = async (i: number, depth: number): Promise<void> => {
      const before = await openModel(at(`${i - 1}.mlck`), { findBase: async () => model() });
      bytes = nudged(bytes, 16, i % 16);
      const { recordedContent: content = '' } = before.model;
      await before.close();
      const info = { base: content, depth, file: `${i - 1}.mlck` };
      await save(model(), at(`${i}.mlck`), {
        delta: { model: modelOf([]), content, hashes: new Map(), info },
      });
    };
    for (let i = 1; i <= LIMITS.DELTA_DEPTH; i++) await delta(i, i);
    const deepest = at(`${LIMITS.DELTA_DEPTH}.mlck`);
    expect((await logDelta(deepest, context)).entries).toHaveLength(LIMITS.DELTA_DEPTH + 1);
    await save(modelOf([tensor('w', 'f32', [16], noise(64, 9))]), at('next.safetensors'));
    expect(await refusal(create(deepest, at('next.safetensors'), at('over.mlck')))).toMatchObject({
      code: 'E_LIMIT',
      details: { limit: 'DELTA_DEPTH' },
      hint: expect.stringContaining('squash'),
    });
    // What a file says of its depth is not believed.
    await delta(LIMITS.DELTA_DEPTH + 1, 1);
    expect(await refusal(contentOf(at(`${LIMITS.DELTA_DEPTH + 1}.mlck`)))).toMatchObject({
      code: 'E_LIMIT',
      details: { limit: 'DELTA_DEPTH' },
    });
  });
});

describe('outputs', () => {
  it('never replace what they build on', async () => {
    const { folder, base, delta } = await pair();
    const before = [base, delta].map((file) => readFileSync(file));
    const next = checkpoint('step0200.safetensors');
    for (const target of [base, delta])
      expect(await refusal(create(delta, next, target, { force: true }))).toMatchObject({ code: 'E_USAGE' });
    for (const [i, file] of [base, delta].entries())
      expect(Buffer.compare(readFileSync(file), before[i]!)).toBe(0);
    expect((await refusal(create(base, next, delta))).code).toBe('E_EXISTS');
    cpSync(delta, path.join(folder, 'copy.mlck'));
    expect(await contentOf(path.join(folder, 'copy.mlck'))).toBe(await contentOf(next));
  });
});
