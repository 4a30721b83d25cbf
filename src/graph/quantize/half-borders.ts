import { numberOf } from '../opset/attributes.js';
import { type Frame, framesOf, type Site, type Value, type Wire } from './half-values.js';

/** A wire by places: inputs and results of the sub-graphs have the same place in each of them. */
interface Places {
  readonly input?: number;
  readonly entry?: number;
  readonly exit?: number;
  readonly output?: number;
}

/** What is connected to what (Operators.md: If, Loop, Scan). */
function placesOf(site: Site): Places[] {
  const { node, operator } = site;
  const outputs = node.output.length;
  if (operator === 'If') return node.output.map((_, i) => ({ exit: i, output: i }));
  if (operator === 'Loop') {
    // The trip count and the condition come first; a body says first whether it goes on.
    const states = Math.max(0, node.input.length - 2);
    return Array.from({ length: Math.max(states, outputs) }, (_, i) => ({
      ...(i < states ? { input: i + 2, entry: i + 2 } : {}),
      exit: i + 1,
      output: i,
    }));
  }
  const scanned = numberOf(node, 'num_scan_inputs') ?? 0;
  const states = Math.max(0, node.input.length - scanned);
  const through = Array.from({ length: Math.max(states, outputs) }, (_, i) => ({
    ...(i < states ? { input: i, entry: i } : {}),
    exit: i,
    output: i,
  }));
  const read = Array.from({ length: scanned }, (_, i) => ({ input: states + i, entry: states + i }));
  return [...through, ...read];
}

/** Finds the wires of f32 values, all of them still f32. */
export function wire(main: Frame): void {
  for (const frame of framesOf(main))
    for (const site of frame.sites) if (site.kind === 'border') wireSite(site);
}

function wireSite(site: Site): void {
  for (const places of placesOf(site)) {
    const entries = places.entry === undefined ? [] : site.inner.map((frame) => entryOf(frame, places.entry));
    const exits =
      places.exit === undefined ? [] : site.inner.map((frame) => ({ frame, index: places.exit ?? 0 }));
    const results = exits.map(({ frame, index }) => frame.find(frame.graph.output[index]?.name ?? ''));
    const ends = [...entries, ...results];
    if (places.input !== undefined) ends.push(site.inputs[places.input]);
    if (places.output !== undefined && site.node.output[places.output])
      ends.push(site.outputs[places.output]);
    if (ends.every((value) => value === undefined)) continue;
    const wire: Wire = {
      ...(places.input === undefined ? {} : { input: places.input }),
      ...(places.output === undefined ? {} : { output: places.output }),
      entries: entries.flatMap((value) => value ?? []),
      exits,
      isPinned: ends.some((value) => value === undefined),
      half: false,
    };
    for (const value of results) value?.exits.push(wire);
    site.wires.push(wire);
  }
}

function entryOf(frame: Frame, index: number | undefined): Value | undefined {
  return frame.values.get(frame.graph.input[index ?? 0]?.name ?? '');
}
