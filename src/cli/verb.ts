import type { Command } from 'commander';
import type { Finding } from '../errors.js';
import type { CliIo } from './io.js';
import type { GlobalOptions } from './options.js';
import { openSession, type Session } from './session.js';

/** 0: done and true. 1: the answer is no. 2: a part could not be done, and was told. */
export type Answer = 0 | 1 | 2;

/** What commands are made with. */
export interface Cli {
  readonly io: CliIo;
  readonly signal: AbortSignal;
  /** Called with the answer of the verb that ran. */
  readonly answer: (answer: Answer) => void;
}

/** Connects a verb to its work: a session is opened from its options, and its answer becomes the exit code. */
export function onAction<Options extends GlobalOptions>(
  cli: Cli,
  command: Command,
  work: (session: Session, args: readonly string[], options: Options) => Promise<Answer>,
): void {
  command.action(async () => {
    const options = command.optsWithGlobals<Options>();
    const session = openSession(cli.io, options, cli.signal);
    try {
      cli.answer(await work(session, command.processedArgs.flat().filter(isText), options));
    } finally {
      session.progress.stop();
    }
  });
}

/** A finding at error level makes the answer no. */
export const hasErrors = (findings: readonly Finding[]): boolean =>
  findings.some((finding) => finding.severity === 'error');

const isText = (value: unknown): value is string => typeof value === 'string';

/** Two commands that work as they are written here (a test runs them in a folder with these files). */
export const examples = (command: Command, first: string, second: string): Command =>
  command.addHelpText('after', `\nExamples:\n  $ ${first}\n  $ ${second}`);

/** The options that were given, for the operations: absent rather than undefined. */
export function given<T extends object, K extends keyof T>(
  options: T,
  ...keys: readonly K[]
): Partial<Pick<T, K>> {
  const chosen: Partial<Pick<T, K>> = {};
  for (const key of keys) if (options[key] !== undefined) chosen[key] = options[key];
  return chosen;
}
