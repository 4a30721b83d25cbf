import type { WorkContext } from '../../core/format.js';
import { MlserError } from '../../errors.js';
import { type ArrayFile, withArrays } from '../../runtime/arrays.js';
import { Random } from '../../runtime/random.js';
import { readLabels } from '../../validate/accuracy.js';
import type { OpenContext } from '../open.js';
import { accuracyOf } from './accuracy.js';
import { batchesFor, measureBatch } from './batches.js';
import { compareAll } from './compare.js';
import { gateFindings, judge } from './gates.js';
import { machineOf } from './machine.js';
import { findDevices, openCandidates } from './open.js';
import { type BenchOptions, processesFor, type Settled, settle } from './options.js';
import { endAll, noteMemory, startAll } from './processes.js';
import type { BenchReport } from './report.js';
import { failures, findingsOf, modelOf, noRoofline, summarizeAll, unlikeFeeds } from './result.js';
import { METHOD } from './statistics.js';
import { alive, guarded, readyOf, type Subject } from './subject.js';

/**
 * Measures models side by side: load time, latency, throughput, memory, size and accuracy. Each is in a process of its
 * own; they run by turns. With several models, one that fails is told in its place and the others are measured; alone,
 * its error is thrown.
 */
export async function bench(
  paths: readonly string[],
  options: BenchOptions,
  context: WorkContext & OpenContext,
): Promise<BenchReport> {
  const started = performance.now();
  const settled = settle(paths, options);
  const { devices, findings } = await findDevices(settled.devices, context);
  const candidates = await openCandidates(paths, context);
  const subjects = candidates.flatMap(({ path, facts }) =>
    devices.map(
      (device): Subject => ({
        ...{ path, device, ...facts, loads: [], timings: new Map(), skipped: [] },
        ...{ batches: [], medians: new Map() },
      }),
    ),
  );
  try {
    await withArrays(options.inputs, async (file) => {
      await measure(subjects, settled, file, context);
    });
    for (const { opened } of candidates) await opened?.files.assertUnchanged();
  } finally {
    await endAll(subjects);
    for (const { opened } of candidates) await opened?.close();
  }
  const errors = failures(subjects);
  if (paths.length === 1 && errors.length === subjects.length) throw alone(errors[0]);

  const models = subjects.map(modelOf);
  const comparisons = compareAll(subjects);
  const gates = judge(models, comparisons, options);
  return {
    command: 'bench',
    settings: {
      ...{ devices, batches: settled.batches, runs: settled.runs ?? null, warmup: settled.warmup },
      ...{ processes: processesFor(settled), threads: context.threads, seed: settled.seed },
      ...{ feeds: settled.inputs ?? 'generated', method: METHOD },
    },
    machine: machineOf(),
    models,
    comparisons: comparisons.flatMap((list) => list ?? []),
    gates,
    passed: gates.every(({ passed }) => passed),
    findings: [
      ...findings,
      ...subjects.flatMap(findingsOf),
      ...unlikeFeeds(subjects),
      ...(settled.roofline ? noRoofline(subjects) : []),
      ...gateFindings(gates),
    ],
    seconds: (performance.now() - started) / 1000,
  };
}

/** The runtime's own errors advise to leave it out, which is no way here. */
const alone = (error: MlserError | undefined): unknown =>
  error?.code === 'E_RUNTIME'
    ? new MlserError(error.code, error.message, {
        ...{ details: error.details, cause: error },
        hint: 'mlser validate says more of the model; --inputs gives it other feeds',
      })
    : error;

async function measure(
  subjects: readonly Subject[],
  wanted: Settled,
  file: ArrayFile | undefined,
  context: WorkContext,
): Promise<void> {
  const { progress, threads } = context;
  const random = new Random(wanted.seed);
  const labels = wanted.labels === undefined ? undefined : await readLabels(file, wanted.labels);
  const of = processesFor(wanted);
  let batches: readonly number[] = [];
  for (let index = 0; index < of; index++) {
    progress.stage(`process ${index + 1} of ${of}`, 0);
    await startAll(subjects, file, threads, random, context);
    if (index === 0) batches = batchesFor(subjects, wanted.batches);
    for (const batch of batches) await measureBatch(subjects, batch, { index, of }, wanted, random);
    // In the first process feeds were tried, which may have taken more than they do.
    if (index > 0 || of === 1) await noteMemory(subjects);
    // Last, for its batches are others and need other memory.
    if (labels && index === of - 1)
      for (const subject of alive(subjects)) {
        const accuracy = await guarded(subject, () => accuracyOf(readyOf(subject), labels));
        if (accuracy) subject.accuracy = accuracy;
      }
    await endAll(subjects);
  }
  summarizeAll(subjects, of, wanted.seed);
  if (!wanted.roofline) return;
  progress.stage('operators', 0);
  const { measureRooflines } = await import('./roofline.js');
  await measureRooflines(subjects, threads, context);
}
