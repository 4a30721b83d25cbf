import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

/** Every `mlser …` line of the README's shell blocks runs, in order, in a folder that has the fixtures. */
const readme = readFileSync('README.md', 'utf8');
const blocks = [...readme.matchAll(/```bash\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');
const commands = blocks
  .flatMap((block) => block.split('\n'))
  .filter((line) => line.startsWith('mlser '))
  .map((line) => {
    const [command = '', comment = ''] = line.split('#');
    return { command: command.trim(), exit: /exits (\d)/.exec(comment)?.[1] ?? '0' };
  });

const root = mkdtempSync(path.join(tmpdir(), 'mlser-readme-'));
cpSync('fixtures/trained', path.join(root, 'fixtures/trained'), { recursive: true });
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

  it.each(commands.map(({ command, exit }) => [command, exit] as const))('%s', (command, exit) => {
    const ran = run(command);
    expect(`${ran.status} ${ran.stderr}`).toBe(`${exit} `);
    if (!command.includes('--output')) expect(ran.stdout.length).toBeGreaterThan(0);
  });
});
