import { crc32 } from '../../../io/crc32.js';
import { type Done, serveJobs } from '../../../kernels/job-worker.js';
import { movable } from '../../../kernels/jobs.js';
import { encodeChunk } from './choose.js';
import { type Codec, loadCodec, loadCodecs } from './index.js';
import type { CodecDone, CodecJob } from './parallel.js';

/** A worker thread: codes chunks until it is ended. */
const all = loadCodecs();
const known = new Map<number, Codec | undefined>();

async function codecOf(id: number): Promise<Codec | undefined> {
  if (!known.has(id)) known.set(id, await loadCodec(id));
  return known.get(id);
}

serveJobs<CodecJob, CodecDone>(async (job): Promise<Done<CodecDone>> => {
  if (job.op === 'encode') {
    const { codec, bytes } = encodeChunk(job.raw, job.dtype, await all);
    const mine = movable(bytes);
    const encoded = { codec, bytes: mine };
    return { value: { op: 'encode', encoded, crc32: crc32(mine) }, moved: [mine.buffer] };
  }
  const { stored, codec, length, dtype } = job;
  const found = (await codecOf(codec))?.decode(stored, length, dtype);
  const raw = found && movable(found);
  return { value: { op: 'decode', raw, crc32: crc32(stored) }, moved: raw ? [raw.buffer] : [] };
});
