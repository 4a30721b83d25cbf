import { bar } from './render/charts.js';
import { duration, percent, size } from './render/numbers.js';
import { PLAIN_STYLE } from './style.js';

const BAR = 20;

export interface ProgressState {
  readonly title: string;
  /** Bytes done, and of how many; 0 where that is not known. */
  readonly done: number;
  readonly total: number;
  /** Since the stage began. */
  readonly elapsedMs: number;
}

/** The text of the line: stage, bar, share, amount, rate, time left. Only what is known, and what fits. */
export function progressText(
  { title, done, total, elapsedMs }: ProgressState,
  terminal: { readonly unicode: boolean; readonly columns: number },
): string {
  const rate = elapsedMs > 0 ? (done / elapsedMs) * 1000 : 0;
  const share = total > 0 ? Math.min(1, done / total) : 0;
  const seconds = rate > 0 && total > done ? Math.ceil((total - done) / rate) : 0;
  const drawn = bar(share, BAR, { ...PLAIN_STYLE, unicode: terminal.unicode }).padEnd(BAR);
  const parts = [
    title,
    ...(total > 0 ? [drawn, percent(share), `${size(Math.min(done, total))} of ${size(total)}`] : []),
    ...(total === 0 && done > 0 ? [size(done)] : []),
    ...(rate > 0 ? [`${size(rate)}/s`] : []),
    ...(seconds > 0 ? [`${seconds < 60 ? `${seconds} s` : duration(seconds)} left`] : []),
  ];
  const text = (list: readonly string[]): string => list.join('  ');
  if (text(parts).length <= terminal.columns) return text(parts);
  const short = parts.filter((part) => part !== drawn);
  while (short.length > 1 && text(short).length > terminal.columns) short.pop();
  return text(short);
}
