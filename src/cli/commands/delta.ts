import type { Command } from 'commander';
import type { CodecChoice } from '../../core/format.js';
import { MlserError } from '../../errors.js';
import { CODEC_NAMES, RAW } from '../../kernels/codecs/numbers.js';
import type { DeltaOptions } from '../../operations/delta/create.js';
import { type Lossy, parseLossy } from '../../operations/delta/lossy-words.js';
import type { WriteReport } from '../../operations/reports.js';
import {
  integerFlag,
  levelOption,
  listFlag,
  provingOptions,
  valueFlag,
  type WorkOptions,
  type WritingOptions,
  workOptions,
  writingOptions,
} from '../options.js';
import type { Session } from '../session.js';
import { type Answer, type Cli, examples, given, onAction } from '../verb.js';
import { written } from '../written.js';

interface CodingOptions extends WritingOptions {
  readonly codec?: string[];
  readonly level?: number;
  readonly lossy?: Lossy;
  readonly lossyOptimizer?: Lossy;
  readonly dialect?: string;
}

interface AddOptions extends CodingOptions {
  readonly to: string;
  readonly keyframeEvery?: number;
  readonly step?: number;
  readonly name?: string;
}

interface PruneOptions extends WorkOptions, Pick<WritingOptions, 'validate' | 'dryRun' | 'sync'> {
  readonly codec?: string[];
  readonly level?: number;
  readonly keepLast?: number;
  readonly keepEvery?: number;
}

/** Sub-commands, each with its work: what they share is options and the way a report is shown. */
export function delta(program: Command, cli: Cli): void {
  const command = program
    .command('delta')
    .helpCommand(false)
    .summary('store checkpoints as differences, rebuild them bit for bit')
    .description(
      'Stores a checkpoint as differences to another one, and keeps whole runs that way. Any two formats.',
    );
  const create = command
    .command('create <base> <new> <output>')
    .summary('write a checkpoint as differences to a base');
  onAction<CodingOptions>(
    cli,
    dialectOption(codingOptions(create)),
    (session, [base = '', next = '', output = ''], options) =>
      written(session, options, [base, next, output], () => creating(session, base, next, output, options)),
  );
  const apply = command
    .command('apply <base> <files...>')
    .usage('[options] <base> <delta...> <output>')
    .summary('rebuild a checkpoint from its base and deltas, in any format');
  onAction<CodingOptions>(cli, writingOptions(apply), (session, [base = '', ...files], options) => {
    const [deltas, output] = lastOf(files, 'apply <base> <delta...> <output>');
    return written(session, options, [base, ...deltas, output], async () => {
      const { applyDeltas } = await import('../../operations/delta/apply.js');
      return applyDeltas(
        base,
        deltas,
        output,
        { ...given(options, 'to'), ...writing(options) },
        session.context,
      );
    });
  });
  const squash = command
    .command('squash <base> <files...>')
    .usage('[options] <base> <delta...> <output>')
    .summary('fold a chain of deltas into one');
  onAction<CodingOptions>(cli, codingOptions(squash), (session, [base = '', ...files], options) => {
    const [deltas, output] = lastOf(files, 'squash <base> <delta...> <output>');
    return written(session, options, [base, ...deltas, output], async () => {
      const { squashDeltas } = await import('../../operations/delta/create.js');
      return squashDeltas(base, deltas, output, coding(options), session.context);
    });
  });
  const verify = command
    .command('verify <input>')
    .summary('unfold and check a delta, or every step of a run folder');
  onAction<WorkOptions>(cli, workOptions(verify), verifying);
  const log = command.command('log <input>').summary('list the steps of a run folder, or a chain of deltas');
  onAction<WorkOptions>(cli, workOptions(log), logging);
  const add = command
    .command('add <checkpoint>')
    .summary('add a checkpoint to a run folder')
    .requiredOption('--to <folder>', 'the run folder; made if it is not there')
    .addOption(integerFlag('--keyframe-every <n>', 'a whole checkpoint at least every n steps (default: 20)'))
    .addOption(integerFlag('--step <n>', 'step of the training, where the checkpoint does not tell'))
    .option('--name <name>', 'name of the step (default: step-<n>, or that of the file)');
  onAction<AddOptions>(cli, codingOptions(add), adding);
  const prune = command
    .command('prune <folder>')
    .summary('thin a run folder: what stays is rebuilt where it must')
    .addOption(integerFlag('--keep-last <n>', 'the last n steps stay'))
    .addOption(integerFlag('--keep-every <n>', 'steps that are multiples of n stay'));
  onAction<PruneOptions>(cli, rewritingOptions(prune), pruning);
  examples(
    create,
    'mlser delta create step-180.safetensors step-200.safetensors step-200.mlck',
    'mlser delta create step-180.safetensors step-200.safetensors lossy.mlck --lossy int8-delta',
  );
  examples(
    apply,
    'mlser delta apply step-180.safetensors delta.mlck rebuilt.safetensors',
    'mlser delta apply step-180.safetensors delta.mlck rebuilt.pt --validate weights',
  );
  examples(
    squash,
    'mlser delta squash step-180.safetensors delta.mlck squashed.mlck',
    'mlser delta squash step-180.safetensors delta.mlck squashed.mlck --level 2 --json',
  );
  examples(
    verify,
    'mlser delta verify runs/exp1',
    'mlser delta verify delta.mlck --base step-180.safetensors',
  );
  examples(log, 'mlser delta log runs/exp1', 'mlser delta log delta.mlck --base step-180.safetensors --json');
  examples(
    add,
    'mlser delta add step-200.safetensors --to runs/exp2',
    'mlser delta add checkpoint.pt --to runs/exp3 --keyframe-every 10',
  );
  examples(
    prune,
    'mlser delta prune runs/exp1 --keep-last 5 --keep-every 100',
    'mlser delta prune runs/exp1 --keep-last 1 --dry-run',
  );
  examples(
    command,
    'mlser delta create step-180.safetensors step-200.safetensors step-200.mlck',
    'mlser delta log runs/exp1',
  );
}

const CODECS = [...CODEC_NAMES].flatMap(([id, name]) => (id === RAW || id >= 24 ? [] : [name]));

/** Options of sub-commands that write deltas: native checkpoints, so there is no format to choose. */
const codingOptions = (command: Command): Command =>
  codecOptions(provingOptions(command))
    .addOption(
      valueFlag('--lossy <how>', 'round the differences: bf16-delta, int8-delta, topk=1%', parseLossy),
    )
    .addOption(valueFlag('--lossy-optimizer <how>', 'the same for the optimizer state', parseLossy));

const codecOptions = (command: Command): Command =>
  command
    .addOption(listFlag('--codec <name>', `only these codecs (repeatable): ${CODECS.join(', ')}`))
    .addOption(integerFlag('--level <n>', '1: fast (default); 2: also try zstd everywhere'));

/** Of what only packs again what is there: exactly, and where it was. */
const rewritingOptions = (command: Command): Command =>
  codecOptions(
    workOptions(
      command
        .addOption(levelOption('--validate <level>'))
        .option('--dry-run', 'show the plan, write nothing')
        .option('--no-sync', 'do not wait for the disk (as cp; a power cut may then lose the output)'),
    ),
  );

const dialectOption = (command: Command): Command =>
  command.option('--dialect <name>', 'native (default), slime-xor, slime-overwrite or trl-sparse');

const writing = (options: WritingOptions) => ({
  ...given(options, 'force', 'dryRun', 'inputs', 'labels', 'tolerance', 'sync'),
  validate: options.validate,
  device: options.device,
});

function coding(options: CodingOptions): DeltaOptions {
  return { ...writing(options), ...given(options, 'lossy', 'lossyOptimizer'), codecs: codecsOf(options) };
}

function codecsOf(options: Pick<CodingOptions, 'codec' | 'level'>): CodecChoice {
  const { level = 1 } = options;
  if (level > 2) throw new MlserError('E_USAGE', `--level ${level}: no such level`, { hint: 'levels: 1, 2' });
  const unknown = options.codec?.find((name) => !CODECS.includes(name));
  if (unknown !== undefined)
    throw new MlserError('E_USAGE', `--codec ${JSON.stringify(unknown)}: no such codec`, {
      hint: `codecs: ${CODECS.join(', ')}`,
    });
  return { level, ...(options.codec ? { only: options.codec } : {}) };
}

function lastOf(files: readonly string[], usage: string): readonly [readonly string[], string] {
  const output = files.at(-1);
  if (output !== undefined && files.length > 1) return [files.slice(0, -1), output];
  throw new MlserError('E_USAGE', 'a delta or the output is missing', { hint: `mlser delta ${usage}` });
}

async function creating(
  session: Session,
  base: string,
  next: string,
  output: string,
  options: CodingOptions,
): Promise<WriteReport> {
  const { dialect = 'native' } = options;
  if (dialect !== 'native') {
    const { createForeign, foreignDialect } = await import('../../operations/delta/foreign.js');
    return createForeign(base, next, output, foreignDialect(dialect), writing(options), session.context);
  }
  const { createDelta } = await import('../../operations/delta/create.js');
  return createDelta(base, next, output, coding(options), session.context);
}

async function verifying(session: Session, [input = '']: readonly string[]): Promise<Answer> {
  const { verifyDelta } = await import('../../operations/delta/verify.js');
  const report = await verifyDelta(input, session.context);
  if (session.json || !session.quiet)
    await session.print(report, async (style) =>
      (await import('../render/delta.js')).renderVerify(report, style),
    );
  await session.warn(report.findings);
  return report.passed ? 0 : 1;
}

async function logging(session: Session, [input = '']: readonly string[]): Promise<Answer> {
  const { logDelta } = await import('../../operations/delta/log.js');
  const report = await logDelta(input, session.context);
  await session.print(report, async (style) => (await import('../render/delta.js')).renderLog(report, style));
  await session.warn(report.findings);
  return 0;
}

const adding = (
  session: Session,
  [checkpoint = '']: readonly string[],
  options: AddOptions,
): Promise<Answer> =>
  written(session, options, [checkpoint], async () => {
    const { addToRun } = await import('../../operations/delta/add.js');
    const wanted = { ...coding(options), ...given(options, 'keyframeEvery', 'step', 'name') };
    return addToRun(checkpoint, options.to, wanted, session.context);
  });

async function pruning(
  session: Session,
  [folder = '']: readonly string[],
  options: PruneOptions,
): Promise<Answer> {
  const { pruneRun } = await import('../../operations/delta/prune.js');
  const report = await pruneRun(
    folder,
    {
      ...given(options, 'keepLast', 'keepEvery', 'dryRun', 'sync'),
      ...{ validate: options.validate, device: 'cpu', codecs: codecsOf(options) },
    },
    session.context,
  );
  if (session.json || !session.quiet)
    await session.print(report, async (style) =>
      (await import('../render/delta.js')).renderPrune(report, style),
    );
  return 0;
}
