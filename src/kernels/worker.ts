import { parentPort } from 'node:worker_threads';
import { tasksOf } from './batches.js';
import { loadCodecsFor } from './codecs/index.js';
import { executeBatch } from './execute.js';
import { type FromWorker, failureOf, interrupted, type ToWorker, type WorkerSetup } from './messages.js';
import { codedOf } from './tasks.js';
import { Workplace } from './workplace.js';

/** A worker thread: does batches of tasks until it is terminated. */
const port = parentPort;
if (!port) throw new Error('this module is a worker thread');
let stop: Int32Array = new Int32Array(1);
let done: BigInt64Array = new BigInt64Array(1);
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

port.on('message', async (message: WorkerSetup | ToWorker) => {
  if ('stop' in message) {
    stop = new Int32Array(message.stop);
    done = new BigInt64Array(message.done);
    return;
  }
  const coded = tasksOf(message.work).flatMap(codedOf);
  if (coded.length > 0) await loadCodecsFor(coded);
  port.postMessage(runBatch(message));
});
