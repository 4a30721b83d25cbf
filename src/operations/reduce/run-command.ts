import { spawn } from 'node:child_process';
import { MlserError } from '../../errors.js';

/** The last characters of what a command says are kept. */
const KEPT_TEXT = 64 << 10;

export interface CommandResult {
  /** null: a signal ended it. */
  readonly code: number | null;
  readonly signal: string | null;
  readonly timedOut: boolean;
  /** The end of stdout and stderr together. */
  readonly text: string;
}

/** What `{}` and `{feeds}` of a command stand for. */
export interface Placeholders {
  readonly model: string;
  readonly feeds?: string;
}

/**
 * Runs a shell command of the user. Paths are no part of the line: they are handed over as positional arguments, and
 * `{}` becomes a reference to one, whatever quotes it stands in. After `timeoutMs` it is killed with all it started.
 */
export function runCommand(
  command: string,
  paths: Placeholders,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<CommandResult> {
  const windows = process.platform === 'win32';
  const child = windows
    ? spawn(withPaths(command, paths), { shell: true, windowsHide: true, stdio: ['ignore', 'pipe', 'pipe'] })
    : spawn('sh', ['-c', withReferences(command), 'mlser-check', paths.model, paths.feeds ?? ''], {
        stdio: ['ignore', 'pipe', 'pipe'],
        detached: true, // a group of its own, which can be ended as one
      });
  const kill = (): void => {
    try {
      if (child.pid !== undefined && !windows) process.kill(-child.pid, 'SIGKILL');
      else child.kill('SIGKILL');
    } catch {
      // It ended by itself meanwhile.
    }
  };
  let [text, timedOut] = ['', false];
  const add = (chunk: Buffer): void => {
    text = (text + chunk.toString('utf8')).slice(-KEPT_TEXT);
  };
  child.stdout.on('data', add);
  child.stderr.on('data', add);
  const timer = setTimeout(() => {
    timedOut = true;
    kill();
  }, timeoutMs);
  signal?.addEventListener('abort', kill, { once: true });
  process.once('exit', kill);
  return new Promise<CommandResult>((resolve, reject) => {
    child.once('error', (error) =>
      reject(
        new MlserError('E_USAGE', `--check: the shell could not be started: ${error.message}`, {
          cause: error,
        }),
      ),
    );
    child.once('close', (code, ended) => resolve({ code, signal: ended, timedOut, text }));
  }).finally(() => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', kill);
    process.removeListener('exit', kill);
  });
}

const PLACEHOLDER = /^\{(feeds)?\}/;

/** `{}` as `"$1"` and `{feeds}` as `"$2"`, so quoted that the reference holds inside quotes too. POSIX shells. */
export function withReferences(command: string): string {
  let quote = '';
  let out = '';
  for (let i = 0; i < command.length; ) {
    const [found, feeds] = PLACEHOLDER.exec(command.slice(i, i + 7)) ?? [];
    const sign = command[i] ?? '';
    if (found !== undefined) {
      const number = feeds === undefined ? 1 : 2;
      out += quote === '"' ? `\${${number}}` : quote === "'" ? `'"\${${number}}"'` : `"\${${number}}"`;
      i += found.length;
      continue;
    }
    if (sign === '\\' && quote !== "'") {
      out += command.slice(i, i + 2);
      i += 2;
      continue;
    }
    if (quote === sign) quote = '';
    else if (quote === '' && (sign === '"' || sign === "'")) quote = sign;
    out += sign;
    i++;
  }
  return hasPlaceholder(command) ? out : `${out} "\${1}"`;
}

export const hasPlaceholder = (command: string): boolean => command.includes('{}');
export const wantsFeeds = (command: string): boolean => command.includes('{feeds}');

/** Windows: paths of our own temporary folder, in double quotes. */
const withPaths = (command: string, { model, feeds = '' }: Placeholders): string =>
  (hasPlaceholder(command) ? command : `${command} {}`)
    .replaceAll('{feeds}', () => `"${feeds}"`)
    .replaceAll('{}', () => `"${model}"`);
