import type { BenchModel, BenchReport, GateOutcome, Interval } from '../../operations/bench/report.js';
import { grouped, percent, size } from './numbers.js';

/** Milliseconds in the unit that fits: three digits that count. */
export const ms = (value: number): string => {
  const three = (number: number): string => String(Number(number.toPrecision(3)));
  if (value >= 1000) return `${three(value / 1000)} s`;
  return value < 0.1 ? `${three(value * 1000)} µs` : `${three(value)} ms`;
};

/** Half of an interval, as a share of the figure. */
export const within = (value: number, interval: Interval): string =>
  interval && value > 0 ? `±${(((interval[1] - interval[0]) / 2 / value) * 100).toFixed(1)} %` : '–';

export const perSecond = (value: number): string =>
  grouped(value >= 100 ? Math.round(value) : Number(value.toPrecision(3)));

export const range = (interval: Interval, text: (value: number) => string): string =>
  interval ? `${text(interval[0])} to ${text(interval[1])}` : '–';

/** What a gate asks for and what was found, in its own unit. */
export function gateValue(gate: GateOutcome['gate'], value: number | null): string {
  if (value === null) return 'not measured';
  if (gate === 'max-p95' || gate === 'max-load') return ms(value);
  if (gate === 'max-size' || gate === 'max-peak-memory') return size(value);
  return gate === 'min-accuracy' ? percent(value) : value.toFixed(3);
}

/** `path`, and the device where there are several. */
export function labelsOf(
  models: readonly BenchModel[],
): (model: { readonly path: string; readonly device: string }) => string {
  const several = new Set(models.map(({ device }) => device)).size > 1;
  return ({ path, device }) => (several ? `${path} (${device})` : path);
}

/** The batches that were asked for, and those that graphs fix themselves. */
export const batchesOf = ({ models, settings }: BenchReport): number[] => [
  ...new Set([...settings.batches, ...models.flatMap(({ batches }) => batches.map(({ batch }) => batch))]),
];

export const VERDICTS = {
  faster: 'faster',
  slower: 'slower',
  same: 'no difference shown',
  unknown: 'too few turns to tell',
} as const;
