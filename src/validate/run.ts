import type { WorkContext } from '../core/format.js';
import { type Finding, finding } from '../errors.js';
import { type ArrayFile, withArrays } from '../runtime/arrays.js';
import type { ActualDevice } from '../runtime/devices.js';
import type { Slice } from '../runtime/feed-source.js';
import type { OutputComparison } from '../runtime/metrics.js';
import type { Runtime } from '../runtime/process.js';
import type { Values } from '../runtime/values.js';
import { AccuracyCounter, readLabels } from './accuracy.js';
import { expectedOutputs, OutputGatherer } from './compare-outputs.js';
import { differenceText } from './difference-text.js';
import { execute, isFinding, prepare, refusal } from './prepare.js';
import { type Before, runBefore } from './reference-run.js';
import type { ValidationReport } from './report.js';
import type { Runnable } from './runnable.js';
import type { SourceRun } from './source-run.js';

/** When outputs count as the same. */
export interface Acceptance {
  /** |a − b| ≤ t + t·|b| everywhere. */
  readonly tolerance: number;
  /** Where rounding is expected, outputs that point the same way are enough: the least cosine. */
  readonly cosine?: number;
}

export interface RunRequest {
  readonly target: Runnable;
  /** Runs on the cpu, on the same feeds. */
  readonly reference?: Runnable;
  /** Its outputs, where it is the reference of several. */
  readonly sourceRun?: SourceRun;
  readonly device: ActualDevice;
  readonly runtime: Runtime;
  /** Paths of npz files. */
  readonly inputs?: string;
  readonly expected?: string;
  readonly labels?: string;
  readonly acceptance: Acceptance;
  /** Inputs and outputs may have other float types than those of the reference. */
  readonly anyFloat?: boolean;
  readonly context: WorkContext;
}

export interface RunResult {
  /** undefined: it could not be run, and a finding says why. */
  readonly run?: NonNullable<ValidationReport['run']>;
  readonly accuracy?: NonNullable<ValidationReport['accuracy']>;
  readonly findings: readonly Finding[];
}

/**
 * Runs a graph, next to its reference and to expected outputs where there are some. What the runtime refuses is a
 * finding: an error, or a warning where the reference is refused too (then the runtime cannot run such models).
 */
export const runGraph = (request: RunRequest): Promise<RunResult> =>
  withArrays(request.inputs, (file) =>
    withArrays(request.expected, (expected) => {
      request.context.progress.stage('run', 0);
      return runWith(request, file, expected).catch((error: unknown) => ({
        findings: [refusal(request.target.files.label, error)],
      }));
    }),
  );

async function runWith(
  request: RunRequest,
  file: ArrayFile | undefined,
  expectedFile: ArrayFile | undefined,
): Promise<RunResult> {
  const { target, reference, device } = request;
  const labels = request.labels === undefined ? undefined : await readLabels(file, request.labels);
  const findings: Finding[] = [];
  const base =
    reference && (await (request.sourceRun?.of(request, reference) ?? runBefore(request, reference, file)));
  if (isFinding(base)) findings.push({ ...base, severity: 'warning', code: 'REFERENCE_NOT_RUN' });
  const before = isFinding(base) ? undefined : base;

  const own = await prepare(request, target, device, file, before?.feeds);
  if (isFinding(own)) {
    findings.push(isFinding(base) ? { ...own, severity: 'warning' } : own);
    return { findings };
  }
  const outputs = new OutputGatherer();
  const wanted = expectedFile && expectedOutputs(expectedFile, [...own.first.keys()]);
  findings.push(...(wanted?.findings ?? []));
  const accuracies = labels && { before: new AccuracyCounter(labels), after: new AccuracyCounter(labels) };
  let samples = 0;
  const slices: readonly (Slice | undefined)[] = own.feeds.slices ?? [undefined];
  try {
    for (const slice of slices) {
      const first = slice === slices[0];
      const results = first ? own.first : await execute(own, slice);
      const others = await before?.outputs(slice);
      if (wanted) await outputs.addExpected(results, wanted.expected, slice);
      if (others)
        outputs.addReference(
          withoutThose(results, wanted?.expected),
          withoutThose(others, wanted?.expected),
          request.anyFloat,
        );
      if (!wanted && !others) outputs.addAlone(results, file ? 'error' : 'warning');
      const count = slice?.count ?? labels?.length ?? 0;
      accuracies?.after.add(results, slice?.start ?? 0, count);
      if (others) accuracies?.before.add(others, slice?.start ?? 0, count);
      samples += count;
    }
  } finally {
    await own.session.release();
    await before?.release();
  }

  const compared = outputs.results();
  findings.push(...outputs.findings());
  const failed = compared.filter((output) => !accepts(request.acceptance, output));
  const random = failed.length > 0 && before && !wanted ? await isRandom(request, before) : false;
  for (const output of failed) findings.push(random ? unstable(output) : outside(request.acceptance, output));
  return {
    run: {
      outputs: compared,
      ...(compared.length > 0 ? allowed(request.acceptance) : {}),
      feeds: file?.name ?? 'generated',
      ...(samples > 0 ? { samples } : {}),
      reference: wanted ? (expectedFile?.name ?? '') : before ? 'source' : 'none',
    },
    findings,
    ...(accuracies
      ? {
          accuracy: {
            ...(before ? { before: accuracies.before.share } : {}),
            after: accuracies.after.share,
            samples: accuracies.after.samples,
          },
        }
      : {}),
  };
}

const withoutThose = (outputs: Values, names: ReadonlyMap<string, unknown> | undefined): Values =>
  names ? new Map([...outputs].filter(([name]) => !names.has(name))) : outputs;

const allowed = ({ tolerance, cosine }: Acceptance) => ({
  tolerance,
  ...(cosine === undefined ? {} : { passingCosine: cosine }),
});

export const accepts = ({ tolerance, cosine }: Acceptance, output: OutputComparison): boolean =>
  output.neededTolerance <= tolerance ||
  (cosine !== undefined && Number.isFinite(output.neededTolerance) && (output.cosine ?? 0) >= cosine);

/** Graphs with random operators do not even agree with themselves. */
const isRandom = async ({ acceptance }: RunRequest, before: Before): Promise<boolean> =>
  (await before.again()).some((output) => !accepts(acceptance, output));

const unstable = ({ name }: OutputComparison): Finding =>
  finding(
    'warning',
    'NOT_REPEATABLE',
    name,
    'the source gives other values in every run, so nothing can be compared',
  );

const outside = ({ tolerance }: Acceptance, { name, maxAbs, neededTolerance }: OutputComparison): Finding =>
  finding('error', 'OUTPUT_DIFFERS', name, differenceText(maxAbs, neededTolerance, tolerance));
