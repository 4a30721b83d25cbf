import { html, shorten } from '../escape.js';

export interface Bar {
  readonly label: string;
  readonly value: number;
  /** What is written at the end of the bar. */
  readonly text: string;
}

const WIDTH = 900;
const LABEL = 300;
const VALUE = 110;
const ROW = 24;
const colour = (index: number): string => `var(--c${index % 8})`;
const px = (value: number): string => String(Math.round(value * 100) / 100);

/** Shares of a whole as one stacked bar, with a legend. */
export function shareChart(parts: readonly Bar[]): string {
  const whole = parts.reduce((sum, part) => sum + part.value, 0);
  if (whole <= 0) return '';
  let at = 0;
  const bars = parts.map((part, i) => {
    const width = (part.value / whole) * WIDTH;
    const x = at;
    at += width;
    return `<rect x="${px(x)}" y="0" width="${px(width)}" height="28" fill="${colour(i)}"><title>${html(part.label)}: ${html(part.text)}</title></rect>`;
  });
  const legend = parts.map(
    (part, i) =>
      `<li><i style="background:${colour(i)}"></i>${html(part.label)} <span class="faint">${html(part.text)}</span></li>`,
  );
  return `<svg viewBox="0 0 ${WIDTH} 28" role="img" aria-label="shares">${bars.join('')}</svg><ul class="legend">${legend.join('')}</ul>`;
}

/** Horizontal bars; `log` compares values that lie orders of magnitude apart. */
export function barChart(bars: readonly Bar[], options: { log?: boolean } = {}): string {
  const positive = bars.map((bar) => bar.value).filter((value) => value > 0 && Number.isFinite(value));
  if (positive.length === 0) return '';
  const most = Math.max(...positive);
  const least = Math.min(...positive);
  const decades = Math.max(1, Math.log10(most / least));
  const share = (value: number): number => {
    if (!(value > 0)) return 0;
    if (!Number.isFinite(value)) return 1;
    return options.log ? 0.05 + (0.95 * Math.log10(value / least)) / decades : value / most;
  };
  const room = WIDTH - LABEL - VALUE;
  const rows = bars.map((bar, i) => {
    const y = i * ROW;
    const width = Math.max(bar.value > 0 ? 1 : 0, share(bar.value) * room);
    return `<text x="${LABEL - 8}" y="${y + 16}" text-anchor="end">${html(middle(bar.label))}<title>${html(bar.label)}</title></text><rect x="${LABEL}" y="${y + 4}" width="${px(width)}" height="${ROW - 8}" rx="2" fill="var(--c0)"/><text class="faint" x="${px(LABEL + width + 6)}" y="${y + 16}">${html(bar.text)}</text>`;
  });
  return `<svg viewBox="0 0 ${WIDTH} ${bars.length * ROW}" role="img" aria-label="bars">${rows.join('\n')}</svg>`;
}

const LABEL_CHARS = 44;
const middle = (label: string): string => {
  const chars = [...label];
  return chars.length <= LABEL_CHARS
    ? label
    : `${chars.slice(0, LABEL_CHARS / 2 - 1).join('')}…${chars.slice(-LABEL_CHARS / 2).join('')}`;
};

/** A small histogram that fits into a table cell. */
export function histogram(counts: readonly number[], title: string): string {
  const most = Math.max(...counts, 1);
  const step = 160 / Math.max(1, counts.length);
  const bars = counts.map((value, i) => {
    const height = value > 0 ? Math.max(1, (value / most) * 28) : 0;
    return `<rect x="${px(i * step)}" y="${px(28 - height)}" width="${px(Math.max(0.5, step - 0.5))}" height="${px(height)}" fill="var(--c0)"/>`;
  });
  return `<svg width="160" height="28" viewBox="0 0 160 28" role="img"><title>${html(shorten(title, 120))}</title>${bars.join('')}</svg>`;
}
