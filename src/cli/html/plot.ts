import { html } from '../escape.js';

/** One axis of a chart: where a value lies between 0 and 1, and what is written along it. */
export interface Axis {
  readonly title: string;
  readonly at: (value: number) => number;
  readonly ticks: readonly number[];
  readonly text: (value: number) => string;
}

export interface Labels {
  readonly title: string;
  readonly text: (value: number) => string;
}

/** From 0, or with `near` from a round number below all values, to one above them. */
export function linearAxis(values: readonly number[], labels: Labels, near = false): Axis {
  const finite = values.filter(Number.isFinite);
  const most = Math.max(...finite, near ? -Infinity : 0);
  const least = near ? Math.min(...finite, most) : 0;
  const step = niceStep((most - least || Math.abs(most) || 1) / 5);
  const from = Math.floor(least / step + 1e-9);
  const to = Math.max(from + 1, Math.ceil(most / step - 1e-9));
  const ticks = Array.from({ length: to - from + 1 }, (_, i) => (from + i) * step);
  return { ...labels, ticks, at: (value) => clamp((value / step - from) / (to - from)) };
}

const clamp = (share: number): number => Math.min(1, Math.max(0, share));

/** 1, 2 or 5 times a power of ten, at least as large as what is asked. */
function niceStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return (([1, 2, 5].find((n) => n * power >= least * (1 - 1e-9)) ?? 10) as number) * power;
}

/** Decades in which 1, 2 and 5 times a power of ten are written, not only the power. */
const FEW_DECADES = 3;

/** Whole powers of ten around all values, logarithmic; what is not above 0 lies at the start. */
export function logAxis(values: readonly number[], labels: Labels): Axis {
  const positive = values.filter((value) => value > 0 && Number.isFinite(value));
  const low = positive.length === 0 ? 0 : Math.floor(Math.log10(Math.min(...positive)) + 1e-9);
  const high = positive.length === 0 ? 1 : Math.ceil(Math.log10(Math.max(...positive)) - 1e-9);
  const top = Math.max(high, low + 1);
  const every = Math.max(1, Math.ceil((top - low) / 8));
  const ticks: number[] = [];
  for (let power = low; power <= top; power += every)
    for (const times of top - low <= FEW_DECADES && power < top ? [1, 2, 5] : [1])
      ticks.push(Number(`${times}e${power}`));
  const at = (value: number): number => (value > 0 ? clamp((Math.log10(value) - low) / (top - low)) : 0);
  return { ...labels, ticks, at };
}

/** Values that have a place each, from left to right. */
export const placeAxis = (values: readonly number[], labels: Labels): Axis => ({
  ...labels,
  ticks: values,
  at: (value) => (values.indexOf(value) + 0.5) / Math.max(1, values.length),
});

const WIDTH = 900;
const MARGIN = { left: 90, right: 30, top: 14, bottom: 44 } as const;
/** Where the frame begins. */
export const PLOT_LEFT = MARGIN.left;
const round = (value: number): string => String(Math.round(value * 100) / 100);

export const colour = (index: number): string => `var(--c${index % 8})`;

/** Places of a chart, in its own units. */
export interface Canvas {
  readonly x: (value: number) => string;
  readonly y: (value: number) => string;
}

/** A frame with two axes, and the marks that `draw` puts into it. */
export function plot(
  label: string,
  [across, up]: readonly [Axis, Axis],
  height: number,
  draw: (canvas: Canvas) => readonly string[],
): string {
  const [wide, tall] = [WIDTH - MARGIN.left - MARGIN.right, height - MARGIN.top - MARGIN.bottom];
  const x = (value: number): string => round(MARGIN.left + across.at(value) * wide);
  const y = (value: number): string => round(MARGIN.top + (1 - up.at(value)) * tall);
  const [left, right] = [MARGIN.left, WIDTH - MARGIN.right];
  const [top, bottom] = [MARGIN.top, height - MARGIN.bottom];
  const columns = across.ticks.map(
    (tick) =>
      `<line x1="${x(tick)}" y1="${top}" x2="${x(tick)}" y2="${bottom}" stroke="var(--line)"/><text class="faint" x="${x(tick)}" y="${bottom + 16}" text-anchor="middle">${html(across.text(tick))}</text>`,
  );
  const rows = up.ticks.map(
    (tick) =>
      `<line x1="${left}" y1="${y(tick)}" x2="${right}" y2="${y(tick)}" stroke="var(--line)"/><text class="faint" x="${left - 8}" y="${y(tick)}" dy="4" text-anchor="end">${html(up.text(tick))}</text>`,
  );
  const titles = `<text class="faint" x="${(left + right) / 2}" y="${height - 6}" text-anchor="middle">${html(across.title)}</text><text class="faint" transform="translate(14 ${(top + bottom) / 2}) rotate(-90)" text-anchor="middle">${html(up.title)}</text>`;
  const marks = draw({ x, y }).join('\n');
  return `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${html(label)}">${columns.join('')}${rows.join('')}${titles}\n${marks}\n</svg>`;
}

/** Names beside their colours. */
export const legend = (names: readonly string[]): string =>
  `<ul class="legend">${names.map((name, i) => `<li><i style="background:${colour(i)}"></i>${html(name)}</li>`).join('')}</ul>`;
