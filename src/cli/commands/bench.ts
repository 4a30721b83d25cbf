import type { Command } from 'commander';
import type { BenchOptions } from '../../operations/bench/options.js';
import { countsFlag, durationFlag, shareFlag, wordsFlag } from '../bench-options.js';
import {
  integerFlag,
  numberFlag,
  type ReportOptions,
  reportOptions,
  sizeFlag,
  type WorkOptions,
} from '../options.js';
import { checkWritable, sideFiles, writeSideFiles } from '../report-files.js';
import type { Session } from '../session.js';
import { type Answer, type Cli, examples, given, onAction } from '../verb.js';

interface Options extends WorkOptions, ReportOptions, Omit<BenchOptions, 'devices' | 'batches'> {
  readonly device?: readonly string[];
  readonly batch?: readonly number[];
  readonly html?: string;
}

export function bench(program: Command, cli: Cli): void {
  const command = program
    .command('bench <model...>')
    .summary('time models side by side: latency, memory, accuracy')
    .description(
      'Times models side by side, by turns and each in a process of its own: load time, latency, throughput, memory, size, accuracy.',
    )
    .optionsGroup('How:')
    .option('--inputs <feeds.npz>', 'named arrays to run with (default: generated)')
    .option('--labels <name>', 'array of class numbers in the feeds: accuracy')
    .addOption(countsFlag('--batch <list>', 'samples a run, as 1,8,32 (default: 1)'))
    .addOption(
      wordsFlag('--device <list>', 'where it runs, as cpu,cuda (default: cpu); absent ones are skipped'),
    )
    .addOption(integerFlag('--runs <n>', 'runs that count (default: as many as 2 s hold, 20 to 1000)'))
    .addOption(integerFlag('--warmup <n>', 'runs before them').default(10))
    .addOption(
      integerFlag('--processes <n>', 'fresh ones of each model, over which its runs are spread').default(5),
    )
    .addOption(integerFlag('--threads <n>', 'of the runtime, inside an operator (default: one a core)'))
    .addOption(integerFlag('--seed <n>', 'of the order of turns and of the resampling').default(1))
    .option('--roofline', 'the time of each operator, against what this machine can do (cpu)')
    .optionsGroup('Gates (exit 1 if one does not hold):')
    .addOption(durationFlag('--max-p95 <time>', 'latency at the first batch, as 10ms'))
    .addOption(durationFlag('--max-load <time>', 'load time, as 0.5s'))
    .addOption(sizeFlag('--max-size <size>', 'files, as 5MB'))
    .addOption(sizeFlag('--max-peak-memory <size>', 'of the process, as 200MB'))
    .addOption(shareFlag('--min-accuracy <share>', 'as 0.97 or 97%'))
    .addOption(
      numberFlag(
        '--max-slowdown <x>',
        'latency against the first model, as 1.05 (noise is no slowdown)',
        '1.05',
      ),
    )
    .optionsGroup('Output:')
    .option('--html <file>', 'also write a page with charts');
  onAction<Options>(cli, reportOptions(command), run);
  examples(
    command,
    'mlser bench model.onnx --inputs test.npz --labels y --min-accuracy 97%',
    'mlser bench model.onnx --batch 1,8 --runs 50 --roofline',
  );
}

async function run(session: Session, models: readonly string[], options: Options): Promise<Answer> {
  const files = sideFiles({
    ...(options.html === undefined ? {} : { html: options.html }),
    ...(options.report ? { report: options.report } : {}),
  });
  checkWritable(
    files.map((file) => file.path),
    { force: options.force, models },
  );
  const { bench: measure } = await import('../../operations/bench/bench.js');
  const wanted: BenchOptions = {
    ...given(options, 'inputs', 'labels', 'runs', 'warmup', 'processes', 'seed', 'roofline'),
    ...given(options, 'maxP95', 'maxLoad', 'maxSize', 'maxPeakMemory', 'minAccuracy', 'maxSlowdown'),
    ...(options.device ? { devices: options.device } : {}),
    ...(options.batch ? { batches: options.batch } : {}),
  };
  const report = await measure(models, wanted, session.context);
  if (session.json || !session.quiet)
    await session.print(report, async (style) =>
      (await import('../render/bench.js')).renderBench(report, style),
    );
  await session.warn(report.findings);
  await writeSideFiles(files, report, async () => (await import('../html/bench.js')).benchPage(report));
  if (report.models.some(({ status }) => status === 'failed')) return 2;
  return report.passed ? 0 : 1;
}
