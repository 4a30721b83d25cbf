import type { Style } from '../style.js';

const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'] as const;
const LEVELS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'] as const;
const ASCII_LEVELS = ['.', ':', '-', '=', '+', '*', '%', '#'] as const;

/** A horizontal bar of at most `width` columns; anything above nothing is visible. */
export function bar(fraction: number, width: number, style: Style): string {
  const share = Number.isFinite(fraction) ? Math.min(1, Math.max(0, fraction)) : 0;
  if (!style.unicode) {
    const length = Math.round(share * width);
    return '#'.repeat(share > 0 ? Math.max(1, length) : 0);
  }
  const eighths = Math.max(share > 0 ? 1 : 0, Math.round(share * width * 8));
  return '█'.repeat(Math.floor(eighths / 8)) + (EIGHTHS[eighths % 8] ?? '');
}

/** Counts as a line of levels, `width` columns at most; empty bins are blank. */
export function sparkline(counts: readonly number[], style: Style, width = 32): string {
  const bins = merge(counts, width);
  const most = Math.max(...bins, 1);
  const levels = style.unicode ? LEVELS : ASCII_LEVELS;
  return bins
    .map((value) => (value > 0 ? (levels[Math.min(7, Math.floor((value / most) * 8))] ?? '') : ' '))
    .join('');
}

/** Neighbouring bins added up until there are at most `width`. */
export function merge(counts: readonly number[], width: number): number[] {
  const group = Math.max(1, Math.ceil(counts.length / width));
  const merged: number[] = [];
  for (let at = 0; at < counts.length; at += group)
    merged.push(counts.slice(at, at + group).reduce((sum, value) => sum + value, 0));
  return merged;
}
