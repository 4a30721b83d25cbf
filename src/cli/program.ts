import { Command } from 'commander';
import { packageVersion } from '../io/version.js';
import type { Cli } from './verb.js';

const COLUMNS = 100;

type Register = (program: Command, cli: Cli) => void;

/** Verbs in the order of the help. Each is its own module, loaded when it is the one that runs. */
const VERBS: ReadonlyMap<string, () => Promise<Register>> = new Map([
  ['inspect', async () => (await import('./commands/inspect.js')).inspect],
  ['convert', async () => (await import('./commands/convert.js')).convert],
  ['quantize', async () => (await import('./commands/quantize.js')).quantize],
  ['prune', async () => (await import('./commands/prune.js')).prune],
  ['optimize', async () => (await import('./commands/optimize.js')).optimize],
  ['pipeline', async () => (await import('./commands/pipeline.js')).pipeline],
  ['sensitivity', async () => (await import('./commands/sensitivity.js')).sensitivity],
  ['checksum', async () => (await import('./commands/checksum.js')).checksum],
  ['diff', async () => (await import('./commands/diff.js')).diff],
  ['validate', async () => (await import('./commands/validate.js')).validate],
  ['bench', async () => (await import('./commands/bench.js')).bench],
  ['reduce', async () => (await import('./commands/reduce.js')).reduce],
  ['trace', async () => (await import('./commands/trace.js')).trace],
  ['delta', async () => (await import('./commands/delta.js')).delta],
  ['meta', async () => (await import('./commands/meta.js')).meta],
]);

/** The command tree. With a verb first in `argv`, only that verb is in it: the rest need not load. */
export async function buildProgram(argv: readonly string[], cli: Cli): Promise<Command> {
  const { io } = cli;
  const width = (columns: number | undefined): number => Math.min(columns || COLUMNS, COLUMNS);
  const program = new Command('mlser')
    .description('Inspects, converts, quantizes, prunes, verifies and compares trained models. No Python.')
    .usage('<verb> [options] <input...> [output]')
    .version(packageVersion(), '-V, --version', 'print the version')
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
  const wanted = VERBS.get(argv[0] ?? '');
  for (const load of wanted ? [wanted] : VERBS.values()) (await load())(program, cli);
  program.addHelpText(
    'after',
    `
A model is a file, a Hugging Face folder, an *.index.json or an http(s) address.
Exit codes: 0 done and true · 1 the answer is no (differs, not valid) · 2 could not be done.

Examples:
  $ mlser inspect model.safetensors
  $ mlser convert checkpoint.pt weights.safetensors --dtype bf16`,
  );
  return program;
}
