import type { Ora } from 'ora';
import type { Progress } from '../core/format.js';
import type { CliIo } from './io.js';
import type { progressText as ProgressText } from './progress-text.js';
import { showsUnicode } from './style.js';

/** Work that ends sooner than this shows nothing. */
const PATIENCE_MS = 1_000;
const REDRAW_MS = 100;
/** Columns that the spinner and its space take, and one to spare. */
const SPINNER = 3;

export interface ShownProgress extends Progress {
  /** Removes the line and restores the cursor. */
  stop(): void;
}

/**
 * A line on stderr while long work runs. Nothing is loaded or drawn before the work has taken a second, and never
 * where stderr is not a terminal (ora loops for ever on one of 0 columns).
 */
export function createProgress(io: CliIo, options: { wanted: boolean; color: boolean }): ShownProgress {
  const terminal = io.err.isTTY === true && (io.err.columns ?? 0) > 0;
  if (!options.wanted || !terminal) return { stage() {}, advance() {}, stop() {} };
  const started = performance.now();
  let shown: { spinner: Ora; text: typeof ProgressText } | undefined;
  let loading = false;
  let stopped = false;
  let [title, total, done] = ['read', 0, 0];
  let stageStarted = started;
  let drawn = 0;

  const line = (text: typeof ProgressText, now: number): string =>
    text(
      { title, done, total, elapsedMs: now - stageStarted },
      { unicode: showsUnicode(io.env), columns: (io.err.columns ?? 80) - SPINNER },
    );
  const draw = (now: number): void => {
    drawn = now;
    if (shown) shown.spinner.text = line(shown.text, now);
    else if (!loading && now - started >= PATIENCE_MS) {
      loading = true;
      void load();
    }
  };
  const load = async (): Promise<void> => {
    const [{ default: ora }, { progressText }] = await Promise.all([
      import('ora'),
      import('./progress-text.js'),
    ]);
    if (stopped) return;
    const spinner = ora({
      stream: process.stderr,
      isEnabled: true,
      discardStdin: false, // a paused or piped stdin is none of our business
      color: options.color ? 'cyan' : false, // ora itself ignores NO_COLOR
      text: line(progressText, performance.now()),
    }).start();
    shown = { spinner, text: progressText };
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
      shown?.spinner.stop();
      shown = undefined;
    },
  };
}
