import { takeText } from '../io/scratch-text.js';
import type { NodeProfile, ProfiledValue, SessionProfile } from './protocol.js';
import { finishProfile } from './session.js';

/** An event as onnxruntime writes it: Chrome's trace format, times in microseconds. */
export interface ProfileEvent {
  readonly cat?: string;
  readonly name?: string;
  readonly ts?: number;
  readonly dur?: number;
  readonly tid?: number;
  readonly args?: {
    readonly op_name?: string;
    readonly node_index?: string;
    readonly input_type_shape?: readonly Readonly<Record<string, readonly number[]>>[];
    readonly output_type_shape?: readonly Readonly<Record<string, readonly number[]>>[];
  };
}

const KERNEL = '_kernel_time';

/** Ends the profile of a session and reads it; its file goes. Runs in the child process only. */
export function endProfile(session: number): SessionProfile {
  const text = takeText(finishProfile(session), '.json');
  return profileOf(JSON.parse(text) as readonly ProfileEvent[]);
}

interface Span {
  readonly start: number;
  readonly end: number;
}
const spanOf = ({ ts = 0, dur = 0 }: ProfileEvent): Span => ({ start: ts, end: ts + dur });

/** Events put together by node and run. What lies outside of any run (loading) is left out. */
export function profileOf(events: readonly ProfileEvent[]): SessionProfile {
  const runs = events
    .filter(({ cat, name }) => cat === 'Session' && name === 'model_run')
    .map(spanOf)
    .sort((a, b) => a.start - b.start);
  const kernels = events.filter(({ cat, name }) => cat === 'Node' && name?.endsWith(KERNEL));
  const own = selfTimes(kernels);
  const nodes = new Map<string, { profile: NodeProfile; microseconds: number[] }>();
  for (const event of kernels) {
    const at = event.ts ?? 0;
    const run = runs.findIndex(({ start, end }) => at >= start && at <= end);
    if (run < 0) continue;
    const name = (event.name ?? '').slice(0, -KERNEL.length);
    // Nodes of sub-graphs are counted from 0 again; names alone may be empty.
    const key = `${event.args?.node_index ?? ''} ${event.args?.op_name ?? ''} ${name}`;
    let node = nodes.get(key);
    if (!node) {
      const microseconds = runs.map(() => 0);
      const { op_name: op = '', input_type_shape, output_type_shape } = event.args ?? {};
      const profile = {
        ...{ name, op, microseconds },
        inputs: valuesOf(input_type_shape),
        outputs: valuesOf(output_type_shape),
      };
      node = { profile, microseconds };
      nodes.set(key, node);
    }
    node.microseconds[run] = (node.microseconds[run] ?? 0) + (own.get(event) ?? 0);
  }
  return {
    nodes: [...nodes.values()].map(({ profile }) => profile),
    runs: runs.map(({ start, end }) => end - start),
  };
}

/** Time of each event without that of events inside it: If and Loop are told with all that runs in them. */
function selfTimes(events: readonly ProfileEvent[]): Map<ProfileEvent, number> {
  const own = new Map<ProfileEvent, number>();
  const open: ProfileEvent[] = [];
  // The one around others begins no later and ends no sooner.
  const order = [...events].sort((a, b) => (a.ts ?? 0) - (b.ts ?? 0) || (b.dur ?? 0) - (a.dur ?? 0));
  for (const event of order) {
    const { start, end } = spanOf(event);
    while (open.length > 0 && spanOf(open.at(-1) ?? event).end <= start) open.pop();
    const around = open.at(-1);
    if (around && spanOf(around).end >= end)
      own.set(around, Math.max(0, (own.get(around) ?? 0) - (event.dur ?? 0)));
    own.set(event, event.dur ?? 0);
    open.push(event);
  }
  return own;
}

const valuesOf = (
  values: readonly Readonly<Record<string, readonly number[]>>[] | undefined,
): ProfiledValue[] => (values ?? []).flatMap((value) => Object.entries(value));
