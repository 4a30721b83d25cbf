import { parentPort, workerData } from 'node:worker_threads';
import { loadCodecs } from './codecs/index.js';
import { executeBatch } from './execute.js';
import { type FromWorker, failureOf, interrupted, type ToWorker, type WorkerSetup } from './messages.js';
import { needsCodecs } from './tasks.js';
import { Workplace } from './workplace.js';

/** A worker thread: does batches of tasks until it is terminated. */
const port = parentPort;
if (!port) throw new Error('this module is a worker thread');
const setup: WorkerSetup = workerData;
const stop = new Int32Array(setup.stop);
const done = new BigInt64Array(setup.done);
const place = new Workplace();

function runBatch({ batch, work }: ToWorker): FromWorker {
  try {
    const running = executeBatch(work, place);
    for (let step = running.next(); ; step = running.next()) {
      if (step.done) return { batch, results: step.value };
      Atomics.add(done, 0, BigInt(step.value));
      if (Atomics.load(stop, 0) !== 0) throw interrupted();
    }
  } catch (error) {
    return { batch, results: [], failure: failureOf(error) };
  }
}

port.on('message', async (message: ToWorker) => {
  if (message.work.tasks.some(needsCodecs)) await loadCodecs();
  port.postMessage(runBatch(message));
});
