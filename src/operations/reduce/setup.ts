import type { WorkContext } from '../../core/format.js';
import { isMlserError } from '../../errors.js';
import { vocabularyOf } from '../../graph/vocabulary.js';
import type { ArrayFile } from '../../runtime/arrays.js';
import type { ActualDevice } from '../../runtime/devices.js';
import { ATTEMPTS } from '../../runtime/dims.js';
import { type FeedSource, feedsFromFile, fixedFeeds } from '../../runtime/feed-source.js';
import { generateFeeds } from '../../runtime/feeds.js';
import type { Runtime } from '../../runtime/process.js';
import { type ValueInfo, valueType } from '../../runtime/values.js';
import { acceptanceOf } from '../../validate/acceptance.js';
import type { OpenedModel } from '../open.js';
import { isRefusal } from '../trace/first-failing.js';
import { inputsInOrder, matchValues } from '../trace/match.js';
import type { Taps } from '../trace/taps.js';
import type { OutputOptions } from '../write.js';
import { byCommand, byGate, type Check, type CommandCheck } from './checks.js';
import { allNames, type GateCheck, type GateReference } from './gate-check.js';

export interface ReduceOptions extends Omit<OutputOptions, 'labels'> {
  /** A shell command that fails (exit code other than 0) as long as what is wrong is in the model `{}`. */
  readonly check?: string;
  /** The model that is right: outputs that differ from its are the failure. */
  readonly reference?: string;
  readonly map?: ReadonlyMap<string, string>;
  readonly failCode?: number;
  /** Pattern that the command's output, or the runtime's message, must have. */
  readonly failText?: RegExp;
  /** One check may take so long. Default: a minute for a command, ten for the runtime. */
  readonly timeoutMs?: number;
  readonly maxChecks?: number;
  /** npz for the inputs of the part. Default: `<output>.feeds.npz` where the failure needs feeds. */
  readonly feedsOut?: string;
  /** The same part of the reference, as ONNX. */
  readonly referenceOut?: string;
}

/** For one run of the command of the user. */
const COMMAND_TIMEOUT_MS = 60_000;

/** What a reduction works on. */
export interface Work {
  readonly own: OpenedModel;
  readonly reference: OpenedModel | undefined;
  readonly output: string;
  readonly options: ReduceOptions;
  readonly runtime: Runtime;
  readonly file: ArrayFile | undefined;
  /** For files of candidates. */
  readonly folder: string;
  readonly context: WorkContext;
}

/** The gate's check; with a reference that is another model, or the model itself on the cpu. */
export function gateOf({ own, reference, options, runtime, context }: Work, device: ActualDevice): GateCheck {
  const other = reference ?? (device === 'cpu' || options.check !== undefined ? undefined : own);
  const place = { files: own.files, device };
  const gate = { place, runtime, failText: options.failText, context };
  if (!other) return { ...gate, reference: undefined };
  const map = options.map ?? new Map<string, string>();
  const found: GateReference = {
    ...{ files: other.files, device: 'cpu', model: other.model },
    names: allNames(
      matchValues(own.model, other.model, map).matches,
      inputsInOrder(own.model, other.model, map),
    ),
    acceptance: acceptanceOf({
      ...{ tolerance: options.tolerance, written: own.model, source: reference?.model, device },
      rewritten: true,
    }),
  };
  return { ...gate, reference: found };
}

export function commandOf({
  check,
  timeoutMs = COMMAND_TIMEOUT_MS,
  failCode,
  failText,
}: ReduceOptions): CommandCheck | undefined {
  if (check === undefined) return undefined;
  return {
    ...{ command: check, timeoutMs },
    ...(failCode === undefined ? {} : { failCode }),
    ...(failText === undefined ? {} : { failText }),
  };
}

export function checkOf({ options, folder, context }: Work, gate: GateCheck): Check {
  const command = commandOf(options);
  return command ? byCommand(command, folder, context) : byGate(gate);
}

/** Feeds of the whole graph: given, found by trying, or made up where it cannot be tried. undefined: none can be made up. */
export async function feedsOf(taps: Taps, file: ArrayFile | undefined): Promise<FeedSource | undefined> {
  const inputs = (taps.model.graph?.inputs ?? []).map(
    ({ name, dtype, shape }): ValueInfo => ({ name, type: valueType(dtype), shape }),
  );
  if (file) return feedsFromFile(file, inputs);
  try {
    return (await taps.measured(undefined, [], Number.POSITIVE_INFINITY)).feeds;
  } catch (error) {
    if (!isRefusal(error)) throw error;
  }
  const [sizes] = ATTEMPTS;
  try {
    return sizes && fixedFeeds(generateFeeds(inputs, { sizes, vocabulary: vocabularyOf(taps.model) }));
  } catch (error) {
    if (isMlserError(error) && (error.code === 'E_UNSUPPORTED' || error.code === 'E_LIMIT')) return undefined;
    throw error;
  }
}
