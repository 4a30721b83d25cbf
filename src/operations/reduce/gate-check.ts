import type { WorkContext } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import { isMlserError } from '../../errors.js';
import { extract } from '../../graph/extract.js';
import type { InputFiles } from '../../io/files.js';
import { type ActualDevice, providersOf } from '../../runtime/devices.js';
import { fixedFeeds, withFloatsOf } from '../../runtime/feed-source.js';
import { compareOutput, nonFinite } from '../../runtime/metrics.js';
import type { Runtime, Session } from '../../runtime/process.js';
import type { ModelReference } from '../../runtime/protocol.js';
import { isFloatType, type Values } from '../../runtime/values.js';
import { differenceText } from '../../validate/difference-text.js';
import { isRefusedPath } from '../../validate/open-session.js';
import type { Acceptance } from '../../validate/run.js';
import { accepts } from '../../validate/run.js';
import { bytesFor } from '../observed-model.js';
import { onlyInputs } from '../open-changed.js';
import { isRefusal } from '../trace/first-failing.js';
import type { Matches } from '../trace/match.js';
import { type Failure, refusalOf } from './outcome.js';

/** A graph that is run as its users would run it, with the runtime's optimizations. */
export interface Place {
  readonly files: InputFiles;
  readonly device: ActualDevice;
}

/** What outputs are compared with. */
export interface GateReference extends Place {
  readonly model: Model;
  /** Values of the reference by those of the model, inputs included. */
  readonly names: ReadonlyMap<string, string>;
  readonly acceptance: Acceptance;
}

export interface GateCheck {
  readonly place: Place;
  readonly reference: GateReference | undefined;
  readonly runtime: Runtime;
  readonly failText: RegExp | undefined;
  readonly context: WorkContext;
}

/** Names of matched values and inputs together. */
export const allNames = (
  matches: Matches,
  inputs: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> =>
  new Map([...inputs, ...[...matches].map(([name, other]) => [name, other.name] as const)]);

/**
 * How a part of a graph fails in the runtime, undefined if it does not: refused when it is loaded, when it runs,
 * outputs that differ from those of the same part of the reference, or that are not finite though all inputs are.
 */
export async function gateFailure(
  check: GateCheck,
  part: Model,
  feeds: Values | undefined,
  at: ModelReference | undefined = undefined,
): Promise<Failure | undefined> {
  const { place, reference, failText } = check;
  let session: Session | undefined;
  let stage: 'loading' | 'running' = 'loading';
  try {
    session = await load(check, place, part, at);
    if (!feeds) return undefined;
    stage = 'running';
    const { outputs } = await session.run(onlyInputs(session, await inTypesOf(session, feeds)));
    if (!reference) return oddities(feeds, outputs);
    const expected = await expectedOf(check, reference, part, feeds);
    return expected && difference(outputs, expected, reference);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return refusalOf(error, stage, failText);
  } finally {
    await session?.release();
  }
}

const inTypesOf = (session: Session, feeds: Values): Promise<Values> =>
  withFloatsOf(fixedFeeds(feeds), session.inputs).load(undefined);

async function load(
  { runtime, context }: GateCheck,
  { files, device }: Place,
  model: Model,
  at: ModelReference | undefined,
): Promise<Session> {
  const settings = { providers: providersOf(device), threads: context.threads, lean: false };
  if (at) return runtime.create(at, settings, files.label);
  const { folder } = files;
  if (folder !== undefined)
    try {
      return await runtime.create({ bytes: await bytesFor(model, true), folder }, settings, files.label);
    } catch (error) {
      if (!isRefusedPath(error)) throw error;
    }
  return runtime.create({ bytes: await bytesFor(model, false) }, settings, files.label);
}

function oddities(feeds: Values, outputs: Values): Failure | undefined {
  // What is not finite before says nothing of these nodes.
  for (const value of feeds.values()) if (nonFinite(value) > 0) return undefined;
  for (const [name, value] of outputs) {
    const odd = nonFinite(value);
    if (odd > 0)
      return {
        ...{ kind: 'not-finite', key: '' },
        text: `${odd} of ${value.data.length} values of ${JSON.stringify(name)} are NaN or infinite`,
      };
  }
  return undefined;
}

/** The part of the reference between the counterparts; undefined where it has none. */
export function referencePart(reference: GateReference, part: Model): Model | undefined {
  const others = (list: readonly { readonly name: string }[]): readonly string[] | undefined => {
    const found = list.flatMap(({ name }) => reference.names.get(name) ?? []);
    return found.length === list.length ? found : undefined;
  };
  const inputs = others(part.graph?.inputs ?? []);
  const outputs = others(part.graph?.outputs ?? []);
  if (!inputs || !outputs) return undefined;
  try {
    return extract(reference.model, { inputs, outputs, dropIdle: true });
  } catch (error) {
    // Its nodes need something between that the part of the model does not.
    if (isMlserError(error) && (error.code === 'E_USAGE' || error.code === 'E_UNSUPPORTED')) return undefined;
    throw error;
  }
}

/** Outputs of the reference's part, by the names of the model. */
async function expectedOf(
  check: GateCheck,
  reference: GateReference,
  part: Model,
  feeds: Values,
): Promise<Values | undefined> {
  const other = referencePart(reference, part);
  if (!other) return undefined;
  let session: Session | undefined;
  try {
    session = await load(check, reference, other, undefined);
    const renamed = new Map([...feeds].map(([name, value]) => [reference.names.get(name) ?? name, value]));
    const { outputs } = await session.run(onlyInputs(session, await inTypesOf(session, renamed)));
    const found = new Map<string, NonNullable<ReturnType<typeof outputs.get>>>();
    for (const { name } of part.graph?.outputs ?? []) {
      const value = outputs.get(reference.names.get(name) ?? '');
      if (value) found.set(name, value);
    }
    return found;
  } catch (error) {
    // A reference that does not run says nothing.
    if (isRefusal(error)) return undefined;
    throw error;
  } finally {
    await session?.release();
  }
}

function difference(outputs: Values, expected: Values, { acceptance }: GateReference): Failure | undefined {
  for (const [name, value] of expected) {
    const own = outputs.get(name);
    if (!own) continue;
    const comparison = compareOutput(name, {
      anyNumberType: isFloatType(own.type) && isFloatType(value.type),
    });
    const compared = comparison.add(own, value);
    const result = comparison.result();
    if (compared && accepts(acceptance, result)) continue;
    const why =
      comparison.findings[0]?.message ??
      differenceText(result.maxAbs, result.neededTolerance, acceptance.tolerance);
    return { kind: 'differs', key: '', text: `${JSON.stringify(name)} ${why}` };
  }
  return undefined;
}
