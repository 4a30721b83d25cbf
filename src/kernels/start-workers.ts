import { Worker } from 'node:worker_threads';
import { builtFile } from './location.js';

/** Started and not asked for yet. */
const waiting = new Set<Worker>();

/**
 * Starts workers of a pool ahead: they start (30 ms each) while the main thread still loads what it needs. One that nobody
 * asks for keeps no process alive.
 */
export function startAhead(threads: number): void {
  while (waiting.size < threads) {
    const worker = start();
    waiting.add(worker);
    // What fails before it is asked for fails again when it is.
    worker.on('error', () => waiting.delete(worker)).on('exit', () => waiting.delete(worker));
  }
}

/** A worker that waits for its setup: one that was started ahead, or a new one. */
export function poolWorker(): Worker {
  const [ahead] = waiting;
  if (!ahead) return start();
  waiting.delete(ahead);
  return ahead.removeAllListeners('error').removeAllListeners('exit');
}

function start(): Worker {
  const worker = new Worker(builtFile('bundle/worker.cjs'), { execArgv: [] });
  // An idle worker does not keep the process alive; while one works, the timer of its pool does.
  worker.unref();
  return worker;
}
