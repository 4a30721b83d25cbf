import { bar } from './render/charts.js';
import { duration, percent, size } from './render/numbers.js';
import { PLAIN_STYLE } from './style.js';

const BAR = 20;

/** The text of the line: stage, share, amount, rate, time left. Only what is known. */
export function progressText(
  title: string,
  done: number,
  total: number,
  elapsedMs: number,
  unicode = true,
): string {
  const rate = elapsedMs > 0 ? (done / elapsedMs) * 1000 : 0;
  const share = total > 0 ? Math.min(1, done / total) : 0;
  const parts = [title];
  if (total > 0) {
    const drawn = bar(share, BAR, { ...PLAIN_STYLE, unicode });
    parts.push(`${drawn.padEnd(BAR)} ${percent(share)}`, `${size(Math.min(done, total))} of ${size(total)}`);
  } else if (done > 0) parts.push(size(done));
  if (rate > 0) parts.push(`${size(rate)}/s`);
  if (rate > 0 && total > done) parts.push(`${duration(Math.ceil((total - done) / rate))} left`);
  return parts.join('  ');
}
