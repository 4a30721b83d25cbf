// Median milliseconds of a run on the first samples, of several ONNX models in turn, so that a noisy machine is fair to all.
//   node latency.js '{"feeds": "x.npz", "models": {"name": "path", …}, "runs": 300, "batch": 1}'   → {"name": ms, …}
import * as fs from 'node:fs';
import { createRequire } from 'node:module';
import { inflateRawSync } from 'node:zlib';
import { median } from './measure.js';

const ort = createRequire(import.meta.url)('onnxruntime-node');
const TYPES = {
  '<f4': ['float32', Float32Array],
  '<i8': ['int64', BigInt64Array],
  '<i4': ['int32', Int32Array],
};

/** The arrays of an npz of small, little-endian, C-ordered members. */
function npz(file) {
  const bytes = fs.readFileSync(file);
  const arrays = new Map();
  let at = bytes.lastIndexOf(Buffer.from('PK\u0005\u0006', 'latin1'));
  const count = bytes.readUInt16LE(at + 10);
  at = bytes.readUInt32LE(at + 16);
  for (let i = 0; i < count; i++) {
    const [method, packed] = [bytes.readUInt16LE(at + 10), bytes.readUInt32LE(at + 20)];
    const [nameSize, extra, comment] = [28, 30, 32].map((o) => bytes.readUInt16LE(at + o));
    const local = bytes.readUInt32LE(at + 42);
    const name = bytes.toString('utf8', at + 46, at + 46 + nameSize).replace(/\.npy$/, '');
    const from = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28);
    const raw = bytes.subarray(from, from + packed);
    const npy = method === 0 ? raw : inflateRawSync(raw);
    const header = npy.toString('latin1', 10, 10 + npy.readUInt16LE(8));
    const [type, Class] = TYPES[/'descr': '([^']+)'/.exec(header)?.[1]] ?? [];
    const shape = (/'shape': \(([^)]*)\)/.exec(header)?.[1] ?? '')
      .split(',')
      .filter((s) => s.trim())
      .map(Number);
    if (type) {
      const body = npy.subarray(10 + npy.readUInt16LE(8));
      arrays.set(name, { type, shape, data: new Class(new Uint8Array(body).buffer) });
    }
    at += 46 + nameSize + extra + comment;
  }
  return arrays;
}

const { feeds: file, models, runs, batch = 1 } = JSON.parse(process.argv[2]);
const arrays = npz(file);
const sessions = [];
for (const [name, path] of Object.entries(models)) {
  const session = await ort.InferenceSession.create(path, { intraOpNumThreads: 1, logSeverityLevel: 4 });
  const feeds = Object.fromEntries(
    session.inputNames.map((input) => {
      const { type, shape, data } = arrays.get(input);
      const some = data.slice(
        0,
        shape.slice(1).reduce((a, b) => a * b, batch),
      );
      return [input, new ort.Tensor(type, some, [batch, ...shape.slice(1)])];
    }),
  );
  sessions.push({ name, session, feeds, times: [] });
}
for (let i = 0; i < runs + 20; i++)
  for (const { session, feeds, times } of sessions) {
    const started = performance.now();
    await session.run(feeds);
    if (i >= 20) times.push(performance.now() - started);
  }
console.log(JSON.stringify(Object.fromEntries(sessions.map(({ name, times }) => [name, median(times)]))));
