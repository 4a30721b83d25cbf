import type { WorkContext } from '../../core/format.js';
import type { NodeProfile, SessionProfile } from '../../runtime/protocol.js';
import { flopsOf } from './flops.js';
import { measurePeaks } from './peaks.js';
import { profileRuns, withProfiles } from './profile.js';
import type { Peaks, Roofline } from './report.js';
import { roofOf, together, type Work } from './roof.js';
import { shapeText } from './shapes.js';
import { trimmedMean } from './statistics.js';
import { guarded, type Subject } from './subject.js';
import { trafficOf } from './traffic.js';

/** Nodes that the report names. */
const NODES = 20;
const WARM_UP = 3;
/** Microseconds are whole in the runtime's profile: short nodes need many runs to get a mean. */
const MOST_RUNS = 100;
const FEWEST_RUNS = 10;
const BUDGET_MS = 2000;
/** Events that a profile may have, which the runtime keeps in memory. */
const MOST_EVENTS = 200_000;
/** Of the runs at both ends, which noise makes. */
const TRIMMED = 0.1;

/**
 * Where the time of each model goes, at its first batch. Only on the cpu: elsewhere the profile tells when operators
 * were handed over, not how long they took.
 */
export async function measureRooflines(
  subjects: readonly Subject[],
  threads: number,
  context: WorkContext,
): Promise<void> {
  const able = subjects.filter(
    ({ error, device, batches }) => !error && device === 'cpu' && batches.length > 0,
  );
  if (able.length === 0) return;
  const peak = await measurePeaks(threads, context);
  for (const subject of able)
    await guarded(subject, async () => {
      subject.roofline = await rooflineOf(subject, peak, threads, context);
    });
}

async function rooflineOf(
  { path, graph, target, feeds, batches }: Subject,
  peak: Peaks,
  threads: number,
  context: WorkContext,
): Promise<Roofline> {
  const [first] = batches;
  if (graph === undefined || !target || !feeds || !first) throw new Error(`${path} was not measured`);
  const nodes = Math.max(1, target.graph.nodes);
  const wanted = Math.min(MOST_RUNS, BUDGET_MS / first.latency.p50, MOST_EVENTS / nodes);
  const runs = WARM_UP + Math.max(FEWEST_RUNS, Math.floor(wanted));
  const values = await feeds.forBatch(first.batch);
  return withProfiles(async (settings) => {
    const request = { runs, threads, label: path };
    const timed = await profileRuns({ path: graph }, values, request, settings(false), context);
    // Packed weights are not in the profile: a second session leaves them as they are and tells their shapes.
    const shaped = await profileRuns(
      { path: graph },
      values,
      { ...request, runs: 1 },
      settings(true),
      context,
    );
    return summarize(timed, shaped, peak, first.batch);
  });
}

const keyOf = ({ name, op }: NodeProfile): string => `${op} ${name}`;

/**
 * The node with the shapes of its weights. The runtime numbers nodes that it makes anew for each session: another one
 * of the same name gives other results.
 */
const withWeights = (node: NodeProfile, other: NodeProfile | undefined): NodeProfile =>
  other && JSON.stringify(other.outputs) === JSON.stringify(node.outputs)
    ? { ...node, inputs: other.inputs }
    : node;

/** A node with its time, and its shapes from the session that knows them all. */
interface Measured extends Work {
  readonly node: NodeProfile;
}

export function summarize(
  timed: SessionProfile,
  shaped: SessionProfile,
  peak: Peaks,
  batch: number,
): Roofline {
  const shapes = new Map(shaped.nodes.map((node) => [keyOf(node), node]));
  const counted = timed.runs.length - WARM_UP;
  const typical = (microseconds: readonly number[]): number =>
    trimmedMean(microseconds.slice(-Math.max(1, counted)), TRIMMED) / 1000;
  const measured = timed.nodes
    .map((node): Measured => {
      const known = withWeights(node, shapes.get(keyOf(node)));
      return {
        node: known,
        ms: typical(node.microseconds),
        flops: flopsOf(known),
        bytes: trafficOf(known),
      };
    })
    .sort((a, b) => b.ms - a.ms);
  const whole = together(measured);
  const run = typical(timed.runs);
  const byOperator = new Map<string, Measured[]>();
  for (const one of measured) {
    const others = byOperator.get(one.node.op);
    if (others) others.push(one);
    else byOperator.set(one.node.op, [one]);
  }
  return {
    ...{ batch, runs: counted, peak, flops: whole.flops ?? 0, bytes: whole.bytes },
    ms: { run, operators: whole.ms, rest: Math.max(0, run - whole.ms) },
    operators: [...byOperator]
      .map(([op, works]) => ({ op, nodes: works.length, ...roofOf(together(works), peak, whole.ms) }))
      .sort((a, b) => b.ms - a.ms),
    nodes: measured.slice(0, NODES).map(({ node, ...work }) => ({
      ...{ name: node.name, op: node.op, shapes: node.inputs.map(shapeText) },
      ...roofOf(work, peak, whole.ms),
    })),
  };
}
