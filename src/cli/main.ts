import { CommanderError } from 'commander';
import { MlserError } from '../errors.js';
import { releaseLocks } from '../io/lock.js';
import { removeStagedLeftovers } from '../io/staged.js';
import { releaseWorkFolders } from '../io/work-folder.js';
import { type CliIo, processIo } from './io.js';
import { printJson } from './json.js';
import { buildProgram } from './program.js';
import { errorDocument, exitCode, renderError } from './render/error.js';
import { running } from './session.js';
import { PLAIN_STYLE, styleFor } from './style.js';

/**
 * Runs one command line and gives its exit code: 0 done and true, 1 the answer is no, 2 could not be done.
 * Never throws. With the real streams (no `io` given) signals and stray exceptions are handled too.
 */
export async function main(argv: readonly string[], io?: CliIo): Promise<number> {
  const streams = io ?? processIo();
  const controller = new AbortController();
  const dashes = argv.indexOf('--');
  const flags = new Set(dashes < 0 ? argv : argv.slice(0, dashes));
  running.json = flags.has('--json');
  running.printed = false;
  running.ended = false;
  if (io === undefined) handleInterruptions(streams, controller);
  let answer = 0;
  try {
    const program = await buildProgram(argv, {
      io: streams,
      signal: controller.signal,
      answer: (code) => {
        answer = code;
      },
    });
    if (argv.length === 0) program.help({ error: true });
    await program.parseAsync([...argv], { from: 'user' });
    return answer;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0; // --help and --version
    running.progress?.stop();
    const told = error instanceof CommanderError ? usageError(error, argv) : error;
    const color = flags.has('--no-color') ? false : flags.has('--color') ? true : undefined;
    const helpWasPrinted = error instanceof CommanderError && error.code === 'commander.help';
    if (!helpWasPrinted)
      streams.err.write(renderError(told, await styleFor(streams.err, streams.env, color)));
    printErrorDocument(told, streams);
    return exitCode(told);
  } finally {
    running.ended = true;
  }
}

/** With --json the failure is the document, unless the report was already printed. */
function printErrorDocument(error: unknown, io: CliIo): void {
  if (!running.json || running.printed) return;
  running.printed = true;
  printJson(io.out, errorDocument(error));
}

/** The parser's own complaints in our form: `error: text (Did you mean x?)` becomes message and hint. */
function usageError(
  { code, message }: { code: string; message: string },
  argv: readonly string[],
): MlserError {
  if (code === 'commander.help')
    return new MlserError('E_USAGE', 'a verb is missing', { hint: 'see mlser --help' });
  const [first = '', suggestion] = message.replace(/^error: /, '').split('\n');
  const [word = ''] = argv;
  const file = code === 'commander.unknownCommand' && /[./\\]/.test(word);
  const hint = file
    ? `to see what is in a model: mlser inspect ${word}`
    : suggestion?.startsWith('(')
      ? suggestion.slice(1, -1)
      : 'see mlser --help, or mlser <verb> --help';
  return new MlserError('E_USAGE', first, { hint });
}

/** Whatever ends the process early, no staged file stays behind and the cursor comes back. */
function handleInterruptions(io: CliIo, controller: AbortController): void {
  const leave = (error: unknown, code: number): never => {
    running.ended = true;
    controller.abort();
    running.progress?.stop();
    removeStagedLeftovers();
    releaseWorkFolders();
    releaseLocks();
    io.err.write(renderError(error, PLAIN_STYLE));
    printErrorDocument(error, io);
    process.exit(code);
  };
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)
    process.on(signal, () =>
      leave(new MlserError('E_INTERRUPTED', 'interrupted', { details: { signal } }), code),
    );
  process.on('uncaughtException', (error) => leave(error, 2));
  process.on('unhandledRejection', (error) => leave(error, 2));
  process.on('exit', () => {
    removeStagedLeftovers();
    releaseWorkFolders();
    releaseLocks();
    if (running.ended) return;
    // Nothing is left that could wake the process, and main still waits: a bug of ours that must not go unseen.
    const error = new Error('the work stopped without an answer');
    io.err.write(renderError(error, PLAIN_STYLE));
    printErrorDocument(error, io);
    process.exitCode = 2;
  });
}
