import type { WorkContext } from '../core/format.js';
import { type Finding, finding, isMlserError } from '../errors.js';
import { vocabularyOf } from '../graph/vocabulary.js';
import { type ArrayFile, withArrays } from '../runtime/arrays.js';
import type { ActualDevice } from '../runtime/devices.js';
import {
  type FeedSource,
  feedsFromFile,
  fixedFeeds,
  type Slice,
  trim,
  withFloatsOf,
} from '../runtime/feed-source.js';
import type { OutputComparison } from '../runtime/metrics.js';
import type { Runtime, Session } from '../runtime/process.js';
import type { Values } from '../runtime/values.js';
import { AccuracyCounter, readLabels } from './accuracy.js';
import { expectedOutputs, OutputGatherer } from './compare-outputs.js';
import { differenceText } from './difference-text.js';
import { findFeeds } from './find-feeds.js';
import { openSession } from './open-session.js';
import type { ValidationReport } from './report.js';
import { inputsOf, type Runnable } from './runnable.js';

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
  const base = reference && (await prepare(request, reference, 'cpu', file));
  if (isFinding(base)) findings.push({ ...base, severity: 'warning', code: 'REFERENCE_NOT_RUN' });
  const before = isFinding(base) ? undefined : base;
  // One run each: the reference is gone before the other model takes its memory.
  if (before && !before.feeds.slices) await before.session.release();

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
  for (const slice of slices) {
    const first = slice === slices[0];
    const results = first ? own.first : await execute(own, slice);
    const others = before && (first ? before.first : await execute(before, slice));
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
  await own.session.release();
  if (before?.feeds.slices) await before.session.release();

  const compared = outputs.results();
  findings.push(...outputs.findings());
  const failed = compared.filter((output) => !accepts(request.acceptance, output));
  const random = failed.length > 0 && before && !wanted ? await isRandom(request, before, file) : false;
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

/** A session, feeds that it takes, and what it made of the first of them. */
interface Ready {
  readonly session: Session;
  readonly feeds: FeedSource;
  readonly first: Values;
}

const isFinding = (value: Ready | Finding | undefined): value is Finding =>
  value !== undefined && 'code' in value;

/** Loads a model and runs it once. A finding if the runtime refuses it. */
async function prepare(
  { runtime, context, anyFloat }: RunRequest,
  model: Runnable,
  device: ActualDevice,
  file: ArrayFile | undefined,
  given?: FeedSource,
): Promise<Ready | Finding> {
  let session: Session | undefined;
  try {
    session = await openSession(model, runtime, device, context.threads);
    const inputs = inputsOf(session, model.graph);
    const same = given && anyFloat ? withFloatsOf(given, inputs) : given;
    let feeds = same ?? (file && feedsFromFile(file, inputs));
    if (!feeds) {
      const found = await findFeeds(session, inputs, vocabularyOf(model.model));
      if ('code' in found) {
        await session.release();
        return found;
      }
      return { session, feeds: fixedFeeds(found.feeds), first: found.outputs };
    }
    let first = await execute({ session, feeds }, feeds.slices?.[0]);
    if (!given && cutsWrongly(first, feeds.slices?.[0])) {
      feeds = { ...feeds, slices: undefined };
      first = await execute({ session, feeds }, undefined);
    }
    return { session, feeds, first };
  } catch (error) {
    await session?.release();
    return refusal(model.files.label, error);
  }
}

/** What the runtime refused, or that it crashed; other errors are passed on. */
export function refusal(subject: string, error: unknown): Finding {
  if (!isMlserError(error) || error.code !== 'E_RUNTIME') throw error;
  return finding('error', 'RUN_FAILED', subject, error.message);
}

/** Outputs that do not have the samples on their first axis tell that the inputs do not have them there either. */
export const cutsWrongly = (outputs: Values, slice: Slice | undefined): boolean =>
  slice !== undefined &&
  slice.count === slice.size &&
  [...outputs.values()].some(({ dims }) => dims[0] === undefined || dims[0] % slice.count !== 0);

async function execute({ session, feeds }: Omit<Ready, 'first'>, slice: Slice | undefined): Promise<Values> {
  const { outputs } = await session.run(await feeds.load(slice));
  return new Map([...outputs].map(([name, value]) => [name, trim(value, slice)]));
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
async function isRandom(request: RunRequest, before: Ready, file: ArrayFile | undefined): Promise<boolean> {
  if (!request.reference || before.feeds.slices) return false;
  const again = await prepare(request, request.reference, 'cpu', file, before.feeds);
  if (isFinding(again)) return false;
  await again.session.release();
  const outputs = new OutputGatherer();
  outputs.addReference(again.first, before.first);
  return outputs.results().some((output) => !accepts(request.acceptance, output));
}

const unstable = ({ name }: OutputComparison): Finding =>
  finding(
    'warning',
    'NOT_REPEATABLE',
    name,
    'the source gives other values in every run, so nothing can be compared',
  );

const outside = ({ tolerance }: Acceptance, { name, maxAbs, neededTolerance }: OutputComparison): Finding =>
  finding('error', 'OUTPUT_DIFFERS', name, differenceText(maxAbs, neededTolerance, tolerance));
