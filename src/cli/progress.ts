import type { Ora } from 'ora';
import type { Progress } from '../core/format.js';
import type { CliIo } from './io.js';
import { bar } from './render/charts.js';
import { duration, percent, size } from './render/numbers.js';
import { PLAIN_STYLE } from './style.js';

/** Work that ends sooner than this shows nothing. */
const PATIENCE_MS = 1_000;
const REDRAW_MS = 100;
const BAR = 20;

export interface ShownProgress extends Progress {
  /** Removes the line and restores the cursor. */
  stop(): void;
}

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

/**
 * A line on stderr while long work runs. Nothing is loaded or drawn before the work has taken a second, and never
 * where stderr is not a terminal (ora loops for ever on one of 0 columns).
 */
export function createProgress(io: CliIo, options: { wanted: boolean; color: boolean }): ShownProgress {
  const terminal = io.err.isTTY === true && (io.err.columns ?? 0) > 0;
  if (!options.wanted || !terminal) return { stage() {}, advance() {}, stop() {} };
  const started = performance.now();
  let spinner: Ora | undefined;
  let loading = false;
  let stopped = false;
  let [title, total, done] = ['', 0, 0];
  let stageStarted = started;
  let drawn = 0;

  const draw = (now: number): void => {
    drawn = now;
    if (spinner) spinner.text = progressText(title, done, total, now - stageStarted);
    else if (!loading && now - started >= PATIENCE_MS) {
      loading = true;
      void load();
    }
  };
  const load = async (): Promise<void> => {
    const { default: ora } = await import('ora');
    if (stopped) return;
    spinner = ora({
      stream: process.stderr,
      isEnabled: true,
      discardStdin: false, // a paused or piped stdin is none of our business
      color: options.color ? 'cyan' : false, // ora itself ignores NO_COLOR
      text: progressText(title, done, total, performance.now() - stageStarted),
    }).start();
  };
  const tick = setInterval(() => draw(performance.now()), REDRAW_MS);
  tick.unref();

  return {
    stage(name, bytes) {
      [title, total, done] = [name, bytes, 0];
      stageStarted = performance.now();
      draw(stageStarted);
    },
    advance(bytes) {
      done += bytes;
      const now = performance.now();
      if (now - drawn >= REDRAW_MS) draw(now);
    },
    stop() {
      stopped = true;
      clearInterval(tick);
      spinner?.stop();
      spinner = undefined;
    },
  };
}
