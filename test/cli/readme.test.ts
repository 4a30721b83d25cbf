import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

/** Every `mlser …` and `node -p …` line of the README's shell blocks runs, in order, in a folder that has the fixtures. */
const readme = readFileSync('README.md', 'utf8');
const blocks = [...readme.matchAll(/```bash\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');
const commands = blocks
  .flatMap((block) => block.split('\n'))
  .filter((line) => /^(mlser|node -p) /.test(line))
  .map((line) => {
    const [command = '', comment = ''] = line.split('#');
    return { command: command.trim(), exit: /exits (\d)/.exec(comment)?.[1] ?? '0' };
  });

const root = mkdtempSync(path.join(tmpdir(), 'mlser-readme-'));
for (const folder of ['trained', 'deltas', 'onnx', 'transformers', 'prune', 'safetensors'])
  cpSync(`fixtures/${folder}`, path.join(root, 'fixtures', folder), { recursive: true });
afterAll(() => rmSync(root, { recursive: true, force: true }));
const bin = path.resolve('bin/mlser.js');
const run = (command: string) =>
  spawnSync('bash', ['-c', command.replaceAll(/\bmlser (?=[a-z-])/g, `node ${bin} `)], {
    cwd: root,
    encoding: 'utf8',
  });

describe('the README', () => {
  it('has commands', () => expect(commands.length).toBeGreaterThan(10));

  it('does the main job with its first command', () => {
    const first = blocks[0]?.trim().split('&& ').at(-1) ?? '';
    expect(first).toContain('node bin/mlser.js convert');
    const ran = run(first.replace('node bin/mlser.js', 'mlser'));
    expect(ran.stderr).toBe('');
    expect(ran.status).toBe(0);
    expect(ran.stdout).toContain('98.6');
  });

  it('shows every option of quantizing in an example', () => {
    const help = run('mlser quantize --help').stdout;
    const own = help.slice(help.indexOf('How:'), help.indexOf('Schemes:'));
    const all = [...own.matchAll(/^ {2}(?:-., )?(--[a-z-]+)/gm)].map((match) => match[1] ?? '');
    const options = all.filter((option) => option !== '--help' && option !== '--version');
    expect(options.length).toBeGreaterThan(40);
    const shown = commands.map(({ command }) => command).join('\n');
    expect(options.filter((option) => !new RegExp(`${option}\\b(?!-)`).test(shown))).toEqual([]);
  });

  it('keeps what a training run writes with its script', () => {
    const script = /```sh\n(# watch\.sh[\s\S]*?)```/.exec(readme)?.[1] ?? '';
    expect(script).toContain('delta add');
    const from = path.join(root, 'training');
    mkdirSync(from);
    for (const step of ['0180', '0200'])
      cpSync(`fixtures/trained/digits_cnn/checkpoints/step${step}.pt`, path.join(from, `step${step}.pt`));
    writeFileSync(path.join(from, 'done'), '');
    const body = script.replace('sleep 5', 'sleep 0.2').replaceAll(/\bmlser (?=[a-z-])/g, `node ${bin} `);
    const ran = spawnSync('sh', ['-c', body, 'watch.sh', from, 'watched'], { cwd: root, encoding: 'utf8' });
    expect(`${ran.status} ${ran.stderr}`).toBe('0 ');
    expect(ran.stdout).toContain('2 of 2 checkpoints');
    expect(readdirSync(from)).toEqual(['done']);
    const original = run(
      `mlser checksum ${path.resolve('fixtures/trained/digits_cnn/checkpoints/step0180.pt')} --json`,
    );
    const kept = run('mlser checksum watched@step-180 --json');
    expect(JSON.parse(kept.stdout).content).toBe(JSON.parse(original.stdout).content);
  });

  it.each(commands.map(({ command, exit }) => [command, exit] as const))('%s', (command, exit) => {
    const ran = run(command);
    expect(`${ran.status} ${ran.stderr}`).toBe(`${exit} `);
    if (!/--output|--quiet|^node/.test(command)) expect(ran.stdout.length).toBeGreaterThan(0);
  });
});
