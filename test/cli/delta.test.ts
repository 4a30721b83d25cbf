import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { main } from '../../src/cli/main.js';
import { fakeIo, TRAINED } from '../support/cli.js';
import { type ReportName, schemaErrors } from '../support/schema.js';

const root = mkdtempSync(path.join(tmpdir(), 'mlser-cli-delta-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let folders = 0;

/** A folder with two steps, and a command line that runs here. `{}` stands for the folder. */
function workplace() {
  const folder = mkdtempSync(path.join(root, `${folders++}-`));
  for (const step of [180, 200])
    copyFileSync(
      path.join(TRAINED, `checkpoints/step0${step}.safetensors`),
      path.join(folder, `${step}.safetensors`),
    );
  const at = (name: string): string => path.join(folder, name);
  const run = async (line: string, env: Record<string, string> = {}) => {
    const io = fakeIo(env);
    const words = line.split(' ').map((word) => word.replace('{}', folder));
    const code = await main(words, io);
    return { code, ...io.text() };
  };
  const report = async (schema: ReportName, line: string, env: Record<string, string> = {}) => {
    const ran = await run(`${line} --json`, env);
    const document = JSON.parse(ran.out);
    expect(schemaErrors(schema, document), line).toEqual([]);
    return { code: ran.code, document };
  };
  return { folder, at, run, report };
}
const PAIR = '{}/180.safetensors {}/200.safetensors';

describe('delta on the command line', () => {
  it('refuses what has no meaning', async () => {
    const { run, report } = workplace();
    for (const [line, message] of [
      [`delta create ${PAIR} {}/d.mlck --codec gzip`, /--codec "gzip"/],
      [`delta create ${PAIR} {}/d.mlck --level 3`, /--level 3/],
      [`delta create ${PAIR} {}/d.mlck --lossy int4`, /--lossy "int4"/],
      [`delta create ${PAIR} {}/d.mlck --lossy-optimizer topk=0`, /--lossy-optimizer "topk=0"/],
      [`delta create ${PAIR} {}/d.mlck --dialect other`, /--dialect "other"/],
      ['delta apply {}/180.safetensors {}/d.mlck', /missing/],
      ['delta squash {}/180.safetensors {}/d.mlck', /missing/],
      ['delta add {}/180.safetensors', /--to/],
      ['delta prune {}', /--keep|no run folder/],
      ['delta prune {} --keep-last 0', /--keep-last "0"/],
      ['delta', /Usage|verb/],
      ['delta forget x', /unknown command/],
      [`delta apply ${PAIR} {}/out.safetensors`, /is no delta/],
    ] as const) {
      const ran = await run(line);
      expect(ran.code, line).toBe(2);
      expect(ran.err, line).toMatch(message);
      expect(ran.err).not.toMatch(/ {4}at /);
      if (line !== 'delta') await report('error', line);
    }
    expect(readdirSync(workplace().folder)).toHaveLength(2);
  });

  it('creates, applies, squashes, verifies and logs, with reports beside', async () => {
    const { at, run, report } = workplace();
    const created = await report(
      'delta-create',
      `delta create ${PAIR} {}/d.mlck --validate weights --report {}/r.html --report {}/r.json`,
    );
    expect(created).toMatchObject({ code: 0, document: { command: 'delta create', depth: 1 } });
    expect(schemaErrors('delta-create', JSON.parse(readFileSync(at('r.json'), 'utf8')))).toEqual([]);
    expect(readFileSync(at('r.html'), 'utf8')).toMatch(/residual/);
    expect((await run(`delta create ${PAIR} {}/d.mlck`)).code).toBe(2);
    const applied = await report(
      'write',
      'delta apply {}/180.safetensors {}/d.mlck {}/out.safetensors --validate weights',
    );
    expect(applied.code).toBe(0);
    expect(readFileSync(at('out.safetensors')).equals(readFileSync(at('200.safetensors')))).toBe(true);
    const squashed = await report(
      'delta-create',
      'delta squash {}/180.safetensors {}/d.mlck {}/s.mlck --validate weights',
    );
    expect(squashed.document.command).toBe('delta squash');
    expect(readFileSync(at('s.mlck')).equals(readFileSync(at('d.mlck')))).toBe(true);
    expect((await report('delta-verify', 'delta verify {}/d.mlck')).code).toBe(0);
    expect((await report('delta-log', 'delta log {}/d.mlck')).document.entries).toHaveLength(2);
    const wrong = await report('delta-verify', 'delta verify {}/d.mlck --base {}/200.safetensors');
    expect(wrong).toMatchObject({ code: 1, document: { checks: [{ error: { code: 'E_BASE_MISMATCH' } }] } });
    const text = await run('delta verify {}/d.mlck --base {}/200.safetensors');
    expect(text.out).toMatch(/does not verify[\s\S]*E_BASE_MISMATCH/);
    const dry = await report('delta-create', `delta create ${PAIR} {}/dry.mlck --dry-run`);
    expect(dry.document).toMatchObject({ dryRun: true, target: { content: null } });
    expect(existsSync(at('dry.mlck'))).toBe(false);
    const quiet = await run(
      `delta create ${PAIR} {}/q.mlck -q --validate none --lossy int8-delta --codec residual`,
    );
    expect(quiet).toEqual({ code: 0, out: '', err: '' });
  });

  it('reads a delta in every verb that reads', async () => {
    const { at, run } = workplace();
    await run(`delta create ${PAIR} {}/d.mlck --validate weights`);
    expect((await run('inspect {}/d.mlck --hashes')).code).toBe(0);
    expect((await run('diff {}/d.mlck {}/200.safetensors')).code).toBe(0);
    expect((await run('diff {}/d.mlck {}/180.safetensors')).code).toBe(1);
    expect((await run('validate {}/d.mlck')).code).toBe(0);
    const sums = await run('checksum {}/d.mlck --json');
    const whole = await run('checksum {}/200.safetensors --json');
    expect(JSON.parse(sums.out).content).toBe(JSON.parse(whole.out).content);
    expect((await run('meta get {}/d.mlck step')).out).toContain('200');
    // What is changed becomes whole.
    expect((await run('meta set {}/d.mlck license=mit --output {}/m.mlck --validate weights')).code).toBe(0);
    rmSync(at('180.safetensors'));
    expect((await run('diff {}/m.mlck {}/200.safetensors')).code).toBe(0);
    const text = await run('inspect {}/d.mlck');
    expect(text.code).toBe(0);
    expect(text.out).toContain('BASE_NOT_FOUND');
    expect((await run('convert {}/d.mlck {}/x.npz')).err).toMatch(/E_NOT_FOUND|not beside it[\s\S]*--base/);
  });

  it('keeps a run folder', async () => {
    const { run, report } = workplace();
    for (const step of [180, 200]) {
      const added = await report(
        'delta-add',
        `delta add {}/${step}.safetensors --to {}/run --validate weights`,
      );
      expect(added).toMatchObject({
        code: 0,
        document: { name: `step-${step}`, step, keyframe: step === 180 },
      });
    }
    expect((await report('delta-log', 'delta log {}/run')).document.entries).toHaveLength(2);
    expect((await run('inspect {}/run@180')).out).toContain('mlck');
    expect((await run('diff {}/run {}/200.safetensors')).code).toBe(0);
    expect((await run('delta add {}/200.safetensors --to {}/run')).err).toMatch(/has a step[\s\S]*--name/);
    const plan = await report('delta-prune', 'delta prune {}/run --keep-last 1 --dry-run');
    expect(plan.document).toMatchObject({ dryRun: true, kept: ['step-200'], rewritten: ['step-200'] });
    const done = await run('delta prune {}/run --keep-last 1 --validate weights');
    expect(done).toMatchObject({ code: 0, err: '', out: expect.stringMatching(/^thinned/) });
    expect((await report('delta-verify', 'delta verify {}/run')).document.checks).toHaveLength(1);
  });

  it('takes keys from a file and the environment', async () => {
    const { at, run, report } = workplace();
    const hex = '5a'.repeat(32);
    writeFileSync(at('key'), `${hex}\n`);
    writeFileSync(at('raw'), Buffer.from(hex, 'hex'));
    writeFileSync(at('other'), '00'.repeat(32));
    await run(`delta create ${PAIR} {}/d.mlck --key-file {}/key --validate weights`);
    for (const [more, env] of [
      [' --key-file {}/key', {}],
      [' --key-file {}/raw', {}],
      ['', { MLSER_KEY: hex }],
    ] as const)
      expect((await run(`delta verify {}/d.mlck${more}`, env)).code).toBe(0);
    const without = await run('delta verify {}/d.mlck');
    expect(without).toMatchObject({
      code: 2,
      err: expect.stringMatching(/is encrypted\nhint: .*--key-file/),
    });
    const wrong = await report('delta-verify', 'delta verify {}/d.mlck --key-file {}/other');
    expect(wrong).toMatchObject({ code: 1, document: { checks: [{ error: { code: 'E_INTEGRITY' } }] } });
    expect((await run('convert {}/200.safetensors {}/e.mlck --encrypt')).err).toMatch(
      /a key is missing\nhint: .*openssl/,
    );
    expect((await run('convert {}/200.safetensors {}/e.npz --encrypt --key-file {}/key')).code).toBe(2);
    expect(
      (await run('convert {}/200.safetensors {}/e.mlck --encrypt --key-file {}/key --validate weights')).code,
    ).toBe(0);
    expect(readFileSync(at('e.mlck')).includes('conv')).toBe(false);
    expect((await run('diff {}/e.mlck {}/200.safetensors', { MLSER_KEY: hex })).code).toBe(0);
    const bad = await run('inspect {}/e.mlck --key-file {}/200.safetensors');
    expect(bad).toMatchObject({ code: 2, err: expect.stringMatching(/no key\nhint/) });
  });

  it.each(['slime-xor', 'slime-overwrite', 'trl-sparse'])('speaks %s', async (dialect) => {
    const { at, run, report } = workplace();
    const created = await report('delta-create', `delta create ${PAIR} {}/${dialect} --dialect ${dialect}`);
    expect(created).toMatchObject({ code: 0, document: { format: dialect, validation: { passed: true } } });
    const applied = await report(
      'write',
      `delta apply {}/180.safetensors {}/${dialect} {}/out.safetensors --validate weights`,
    );
    expect(applied.code).toBe(0);
    expect((await run('diff {}/out.safetensors {}/200.safetensors')).code).toBe(0);
    expect((await run(`delta create ${PAIR} {}/${dialect} --dialect ${dialect}`)).code).toBe(2);
    const dry = await report('delta-create', `delta create ${PAIR} {}/dry --dialect ${dialect} --dry-run`);
    expect(dry.code).toBe(0);
    expect(existsSync(at('dry'))).toBe(false);
    // Another base: what the layout can tell, it tells; it never gives other bytes without a word.
    const wrong = await run(
      `delta apply {}/200.safetensors {}/${dialect} {}/wrong.safetensors --validate weights`,
    );
    if (wrong.code === 0) expect((await run('diff {}/wrong.safetensors {}/200.safetensors')).code).toBe(0);
    else expect(wrong.err).toMatch(/^error: /);
  });
});
