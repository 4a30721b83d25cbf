import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { checksum } from './commands/checksum.js';
import { convert } from './commands/convert.js';
import { diff } from './commands/diff.js';
import { inspect } from './commands/inspect.js';
import { meta } from './commands/meta.js';
import { validate } from './commands/validate.js';
import type { Cli } from './verb.js';

const COLUMNS = 100;

/** The version in package.json, which lies two folders above both `src/cli` and `dist/cli`. */
function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  const { version: found } = JSON.parse(text) as { version: string };
  return found;
}

/** The command tree. Operations are imported by the verb that runs, so that help and inspect start fast. */
export function buildProgram(cli: Cli): Command {
  const { io } = cli;
  const width = (columns: number | undefined): number => Math.min(columns || COLUMNS, COLUMNS);
  const program = new Command('mlser')
    .description('Inspects, converts, verifies and compares trained models. No Python.')
    .usage('<verb> [options] <input...> [output]')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help, also of a verb')
    .helpCommand(false)
    .option('--json', 'one JSON document on stdout')
    .option('-q, --quiet', 'no progress, no warnings, no account of work done')
    .option('--color', 'colours even where stdout is no terminal')
    .option('--no-color', 'no colours')
    .exitOverride()
    .showSuggestionAfterError()
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => void io.out.write(text),
      writeErr: (text) => void io.err.write(text),
      outputError: () => {}, // main prints what was thrown, in the form that was asked for
      getOutHelpWidth: () => width(io.out.columns),
      getErrHelpWidth: () => width(io.err.columns),
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    });
  for (const add of [inspect, convert, checksum, diff, validate, meta]) add(program, cli);
  program.addHelpText(
    'after',
    `
A model is a file, a Hugging Face folder, an *.index.json or an http(s) address; its format is seen by content.
Exit codes: 0 done and true · 1 the answer is no (differs, not valid) · 2 could not be done.

Examples:
  $ mlser inspect model.safetensors
  $ mlser convert checkpoint.pt model.safetensors --dtype bf16`,
  );
  return program;
}
