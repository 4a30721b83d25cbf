import { parentPort } from 'node:worker_threads';
import { loadCodecs } from './codecs/index.js';
import { execute, inTensor } from './execute.js';
import { type FromWorker, failureOf, interrupted, type ToWorker, type WorkerSetup } from './messages.js';
import { needsCodecs, type Task, type TaskResult } from './tasks.js';
import { Workplace } from './workplace.js';

/** A worker thread: does batches of tasks until it is terminated. */
const port = parentPort;
if (!port) throw new Error('this module is a worker thread');
let stop: Int32Array = new Int32Array(1);
let done: BigInt64Array = new BigInt64Array(1);
const place = new Workplace();

function run(task: Task): TaskResult {
  const running = execute(task, place);
  for (let step = running.next(); ; step = running.next()) {
    if (step.done) return step.value;
    Atomics.add(done, 0, BigInt(step.value));
    if (Atomics.load(stop, 0) !== 0) throw interrupted();
  }
}

function runBatch({ batch, tasks }: ToWorker): FromWorker {
  const results: TaskResult[] = [];
  for (const task of tasks) {
    try {
      results.push(run(task));
    } catch (error) {
      return { batch, results, failure: failureOf(inTensor(error, task)) };
    }
  }
  return { batch, results };
}

port.on('message', async (message: WorkerSetup | ToWorker) => {
  if ('stop' in message) {
    stop = new Int32Array(message.stop);
    done = new BigInt64Array(message.done);
    return;
  }
  if (message.tasks.some(needsCodecs)) await loadCodecs();
  port.postMessage(runBatch(message));
});
