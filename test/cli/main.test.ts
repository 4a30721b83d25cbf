import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { main } from '../../src/cli/main.js';
import { BIN, CONTROL, ENV, fakeIo, mlser, modelFolder } from '../support/cli.js';
import { schemaErrors } from '../support/schema.js';

async function inProcess(...args: string[]) {
  const io = fakeIo();
  const code = await main(args, io);
  return { code, ...io.text() };
}

describe('usage errors', () => {
  it.each([
    [['inspekt', 'x'], /unknown command 'inspekt'/, /inspect/],
    [['model.safetensors'], /unknown command/, /mlser inspect model\.safetensors/],
    [['inspect'], /missing required argument/, /--help/],
    [['inspect', 'x', '--stat'], /unknown option '--stat'/, /--stats/],
    [['convert', 'a'], /missing required argument 'output'/, /--help/],
    [['convert', 'a', 'b', 'c'], /too many arguments/, /--help/],
    [['convert', 'a', 'b', '--validate', 'all'], /--validate "all"/, /none, structure, weights, run/],
    [['convert', 'a', 'b', '--device', 'tpu'], /--device "tpu"/, /cpu/],
    [['convert', 'a', 'b', '--dtype', 'float99'], /--dtype "float99"/, /bf16/],
    [['convert', 'a', 'b', '--max-memory', 'lots'], /--max-memory "lots" is not a size/, /512M/],
    [['convert', 'a', 'b', '--threads', '0'], /--threads "0"/, /4/],
    [['convert', 'a', 'b', '--tolerance', '-1'], /--tolerance "-1"/, /1e-4/],
    [['convert', 'a', 'b', '--metadata', 'x'], /--metadata "x" is not key=value/, /license=/],
    [['convert', 'a', 'b', '--report', 'r.txt'], /\.json or \.html/, /report\.json/],
    [['inspect', 'x', '--include', '('], /--include "\(" is not a regular expression/, /backslash/],
    [['checksum'], /a model is missing/, /--check/],
    [['inspect', 'x', '--template', 'model-card', '--json'], /both want stdout/, /--report/],
  ])('%j', async (args, message, hint) => {
    const text = await inProcess(...args);
    const wantsJson = args.includes('--json');
    expect(text).toMatchObject({ code: 2, ...(wantsJson ? {} : { out: '' }) });
    expect(text.err).toMatch(/^error: .+\nhint: .+\n$/);
    expect(text.err).toMatch(message);
    expect(text.err).toMatch(hint);
    const json = await inProcess(...args, ...(wantsJson ? [] : ['--json']));
    const document = JSON.parse(json.out);
    expect(schemaErrors('error', document)).toEqual([]);
    expect(document.error).toMatchObject({ code: 'E_USAGE', hint: expect.stringMatching(hint) });
  });
  it('without a verb show the help on stderr', async () => {
    expect(await inProcess()).toMatchObject({
      code: 2,
      out: '',
      err: expect.stringMatching(/^Usage: mlser/),
    });
    expect(await inProcess('meta')).toMatchObject({
      code: 2,
      err: expect.stringMatching(/^Usage: mlser meta/),
    });
    expect(JSON.parse((await inProcess('--json')).out).error.code).toBe('E_USAGE');
  });
  it('and the version is the one of the package', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    expect(await inProcess('--version')).toEqual({ code: 0, out: `${version}\n`, err: '' });
  });
});

describe('failures', () => {
  it('name the file, give a hint, show no stack, and are a document with --json', () => {
    const cwd = modelFolder();
    writeFileSync(path.join(cwd, 'bad\u001b[31m.safetensors'), 'not a model');
    for (const name of ['missing.safetensors', 'bad\u001b[31m.safetensors']) {
      const ran = mlser(['inspect', name, '--json'], { cwd });
      expect(ran.code).toBe(2);
      expect(ran.err).toMatch(/^error: .+\nhint: .+\n$/);
      expect(ran.err).not.toMatch(/ {4}at /);
      expect(ran.out + ran.err).not.toMatch(CONTROL);
      const document = JSON.parse(ran.out);
      expect(schemaErrors('error', document)).toEqual([]);
      expect(document.error.code).toMatch(/^E_(NOT_FOUND|MALFORMED)$/);
    }
  });
  it('of one of several models leave the reports of the others', () => {
    const cwd = modelFolder();
    const ran = mlser(['inspect', 'model.safetensors', 'missing', 'model.onnx'], { cwd });
    expect(ran.code).toBe(2);
    expect(ran.out).toMatch(/^model\.safetensors\n[\s\S]*^model\.onnx\n/m);
    expect(ran.err).toMatch(/^error: missing/);
    const json = mlser(['inspect', 'model.safetensors', 'missing', '--json'], { cwd });
    expect(JSON.parse(json.out).error.code).toBe('E_NOT_FOUND');
  });
});

describe('outputs', () => {
  it('are reported, not replaced without --force, and described by side files', { timeout: 120_000 }, () => {
    const cwd = modelFolder();
    const at = (name: string): string => path.join(cwd, name);
    const first = mlser(
      [
        'convert',
        'checkpoint.pt',
        'out.safetensors',
        '--validate',
        'structure',
        '--report',
        'r.json',
        '--report',
        'r.html',
      ],
      { cwd },
    );
    expect(first.code).toBe(0);
    expect(first.out).toMatch(/^converted checkpoint\.pt → out\.safetensors\n/);
    expect(first.err).toMatch(/^warning TRAINING_DROPPED /);
    expect(schemaErrors('write', JSON.parse(readFileSync(at('r.json'), 'utf8')))).toEqual([]);
    expect(readFileSync(at('r.html'), 'utf8')).toMatch(/^<!doctype html>/);

    const before = statSync(at('out.safetensors')).mtimeMs;
    const again = mlser(['convert', 'checkpoint.pt', 'out.safetensors', '--json'], { cwd });
    expect(again.code).toBe(2);
    expect(JSON.parse(again.out).error.code).toBe('E_EXISTS');
    expect(statSync(at('out.safetensors')).mtimeMs).toBe(before);

    // A side file that cannot be written stops the verb before it works.
    for (const report of ['r.json', 'no/such/r.json', 'checkpoint.pt']) {
      const ran = mlser(['inspect', 'checkpoint.pt', '--html', report], { cwd });
      expect([ran.code, ran.out], report).toEqual([2, '']);
    }
    const plan = mlser(['convert', 'checkpoint.pt', 'plan.npz', '--dry-run', '--include', 'fc'], { cwd });
    expect(plan.code).toBe(0);
    expect(plan.out).toMatch(/would be converted[\s\S]*Plan\n[\s\S]*model\.fc1\.weight/);
    expect(existsSync(at('plan.npz'))).toBe(false);
    expect(readdirSync(cwd).filter((name) => name.startsWith('.'))).toEqual([]);

    const quiet = mlser(['convert', 'model.safetensors', 'q.npz', '-q', '--validate', 'none'], { cwd });
    expect(quiet).toMatchObject({ code: 0, out: '', err: '' });
  });
});

describe('checksum', () => {
  it('writes what sha256sum and it itself can check', () => {
    const cwd = modelFolder();
    const text = mlser(['checksum', 'model.safetensors', 'model.onnx'], { cwd });
    expect(text.code).toBe(0);
    const theirs = spawnSync('sha256sum', ['-c', '-'], { cwd, input: text.out, encoding: 'utf8' });
    expect(theirs.stdout).toBe('model.safetensors: OK\nmodel.onnx: OK\n');
    expect(mlser(['checksum', 'model.safetensors', '--output', 'm.json'], { cwd })).toMatchObject({
      code: 0,
      out: '',
    });
    expect(mlser(['checksum', 'model.safetensors', 'model.onnx', '--output', 'SUMS'], { cwd }).code).toBe(0);

    const check = mlser(['checksum', '--check', 'm.json', '--json'], { cwd });
    expect(check.code).toBe(0);
    expect(schemaErrors('check', JSON.parse(check.out))).toEqual([]);
    expect(mlser(['checksum', 'model.onnx', '--check', 'SUMS'], { cwd }).out).toBe(
      'model.onnx: OK\n1 check passed\n',
    );

    const file = path.join(cwd, 'model.safetensors');
    const bytes = readFileSync(file);
    bytes.writeUInt8((bytes.at(-1) ?? 0) ^ 1, bytes.length - 1);
    writeFileSync(file, bytes);
    const damaged = mlser(['checksum', '--check', 'm.json'], { cwd });
    expect(damaged.code).toBe(1);
    expect(damaged.out).toMatch(/tensor fc2\.weight: FAILED/);
    expect(damaged.out).toMatch(/tensor fc1\.weight: OK/);
    expect(mlser(['checksum', '--check', 'SUMS'], { cwd }).code).toBe(1);
  });
});

describe('the answer', () => {
  it('of diff is the exit code', () => {
    const cwd = modelFolder();
    const same = mlser(['diff', 'model.safetensors', 'model.safetensors', '--json'], { cwd });
    expect([same.code, JSON.parse(same.out).same]).toEqual([0, true]);
    expect(schemaErrors('diff', JSON.parse(same.out))).toEqual([]);
    expect(mlser(['diff', 'model.safetensors', 'model.onnx', '-q'], { cwd })).toMatchObject({
      code: 1,
      out: '',
    });
  });
});

describe('the terminal', () => {
  it('gets colours when forced, none under NO_COLOR, and ASCII where the locale says so', () => {
    const cwd = modelFolder();
    const args = ['inspect', 'model.safetensors'];
    expect(mlser(args, { cwd, env: { FORCE_COLOR: '1' } }).out).toContain('\u001b[');
    expect(mlser([...args, '--color'], { cwd }).out).toContain('\u001b[');
    for (const env of [{}, { FORCE_COLOR: '1', NO_COLOR: '1' }])
      expect(mlser(args, { cwd, env: { ...env } }).out).not.toContain('\u001b');
    const ascii = mlser(args, { cwd, env: { LC_ALL: 'C' } }).out;
    expect(ascii).toContain('####');
    expect(ascii).not.toContain('█');
  });

  it('that goes away is no error', async () => {
    const cwd = modelFolder();
    const child = spawn(
      'sh',
      ['-c', `"${process.execPath}" "${BIN}" inspect model.safetensors --json | head -c 10`],
      {
        cwd,
        env: ENV,
      },
    );
    let err = '';
    child.stderr.on('data', (chunk) => {
      err += chunk;
    });
    await new Promise((resolve) => child.on('close', resolve));
    expect(err).toBe('');
  });

  it('is drawn on only when it is one (script)', () => {
    if (spawnSync('script', ['--version']).status !== 0) return;
    const cwd = modelFolder();
    const run = (columns: number, rest: string): string =>
      spawnSync(
        'script',
        [
          '-qec',
          `stty cols ${columns}; "${process.execPath}" "${BIN}" inspect model.safetensors ${rest}`,
          '/dev/null',
        ],
        { cwd, env: { ...ENV, TERM: 'xterm-256color' }, encoding: 'utf8' },
      ).stdout;
    expect(run(100, '')).toContain('\u001b[');
    const narrow = run(40, '--tensors --no-color').split('\r\n');
    expect(narrow.some((line) => line.includes('…'))).toBe(true);
    for (const line of narrow.filter((text) => text.includes('f32')))
      expect(line.length).toBeLessThanOrEqual(60);
    expect(run(0, '--no-color')).toContain('Largest tensors');
  });
});
