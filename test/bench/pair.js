// A pair of bf16 models of about 1 GB: weights as test/bench/model.js makes them, and the same with a share of the values, at
// random places, moved by one unit in the last place, up or down: what a step of reinforcement learning leaves of bf16.
import * as fs from 'node:fs';
import { shapes } from './model.js';

const LAYERS = 37;
const BLOCK = 1 << 20;

function generator(seed) {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** Writes the base to `base`, and to each file of `moved` (name → share) the same with so many values moved. */
export function writePair(base, moved) {
  const list = shapes(LAYERS);
  const header = {};
  let at = 0;
  for (const [name, shape] of list) {
    const bytes = shape.reduce((a, b) => a * b, 1) * 2;
    header[name] = { dtype: 'BF16', shape, data_offsets: [at, at + bytes] };
    at += bytes;
  }
  const json = Buffer.from(JSON.stringify(header));
  const head = Buffer.alloc(8 + Math.ceil(json.length / 8) * 8, ' ');
  head.writeBigUInt64LE(BigInt(head.length - 8));
  json.copy(head, 8);
  const next = generator(20261125);
  const normals = Float32Array.from({ length: 65536 }, () => {
    const radius = Math.sqrt(-2 * Math.log((next() + 1) / 4294967297));
    return radius * Math.cos((2 * Math.PI * next()) / 4294967296);
  });
  const files = [base, ...moved.keys()].map((file) => fs.openSync(file, 'w'));
  for (const fd of files) fs.writeSync(fd, head);
  const moves = [...moved.values()].map((share, i) => ({
    limit: Math.floor(share * 4294967296),
    next: generator(77 + i),
  }));
  const float = new Float32Array(1);
  const bits = new Uint32Array(float.buffer);
  for (const [name, shape] of list) {
    let left = shape.reduce((a, b) => a * b, 1);
    const scale = 0.02 + (name.length % 5) * 0.01;
    const mean = /LayerNorm.weight/.test(name) ? 1 : 0;
    while (left > 0) {
      const codes = new Uint16Array(Math.min(left, BLOCK));
      left -= codes.length;
      for (let i = 0; i < codes.length; i++) {
        const r = next();
        float[0] =
          mean +
          (normals[r & 65535] + normals[r >>> 16]) * Math.SQRT1_2 * scale * ((r & 1023) === 7 ? 12 : 1);
        codes[i] = (bits[0] + 0x7fff + ((bits[0] >>> 16) & 1)) >>> 16;
      }
      fs.writeSync(files[0], new Uint8Array(codes.buffer));
      moves.forEach(({ limit, next: draw }, k) => {
        const copy = codes.slice();
        for (let i = 0; i < copy.length; i++) if (draw() < limit) copy[i] += draw() & 1 ? 1 : -1;
        fs.writeSync(files[k + 1], new Uint8Array(copy.buffer));
      });
    }
  }
  for (const fd of files) fs.closeSync(fd);
}
