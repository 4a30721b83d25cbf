import type { NodeProfile, SessionProfile } from '../../runtime/protocol.js';
import { flopsOf } from './flops.js';
import type { Peaks, Roofline } from './report.js';
import { roofOf, together, type Work } from './roof.js';
import { shapeText } from './shapes.js';
import { trimmedMean } from './statistics.js';
import { trafficOf } from './traffic.js';

/** Nodes that the report names. */
const NODES = 20;
/** Runs at the beginning of a profile that do not count. */
export const PROFILE_WARM_UP = 3;
/** Of the runs at both ends, which noise makes. */
const TRIMMED = 0.1;

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
  const counted = timed.runs.length - PROFILE_WARM_UP;
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
