// The model that the benchmarks run on: BERT-large shapes, 335 M parameters, 1.34 GB of f32, with weights that look
// trained (per-tensor scale, 0.1 % outliers), made from a fixed seed. `layers` makes larger ones (72 layers: 3.8 GB).
import * as fs from 'node:fs';

const HIDDEN = 1024;
const INNER = 4096;

/** Names and shapes, weights stored input × output as MatMul takes them. */
export function shapes(layers = 24) {
  const list = [
    ['embeddings.word_embeddings.weight', [30522, HIDDEN]],
    ['embeddings.position_embeddings.weight', [512, HIDDEN]],
    ['embeddings.LayerNorm.weight', [HIDDEN]],
    ['embeddings.LayerNorm.bias', [HIDDEN]],
  ];
  for (let i = 0; i < layers; i++) {
    const at = `encoder.layer.${i}.`;
    for (const part of ['attention.query', 'attention.key', 'attention.value', 'attention.output'])
      list.push([`${at}${part}.weight`, [HIDDEN, HIDDEN]], [`${at}${part}.bias`, [HIDDEN]]);
    list.push([`${at}attention.LayerNorm.weight`, [HIDDEN]], [`${at}attention.LayerNorm.bias`, [HIDDEN]]);
    list.push([`${at}intermediate.weight`, [HIDDEN, INNER]], [`${at}intermediate.bias`, [INNER]]);
    list.push([`${at}output.weight`, [INNER, HIDDEN]], [`${at}output.bias`, [HIDDEN]]);
    list.push([`${at}output.LayerNorm.weight`, [HIDDEN]], [`${at}output.LayerNorm.bias`, [HIDDEN]]);
  }
  list.push(['pooler.weight', [HIDDEN, HIDDEN]], ['pooler.bias', [HIDDEN]]);
  return list;
}

function normals(seed) {
  let state = seed >>> 0 || 1;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
  const table = new Float32Array(65536);
  for (let i = 0; i < table.length; i++)
    table[i] =
      Math.sqrt(-2 * Math.log((next() + 1) / 4294967297)) * Math.cos((2 * Math.PI * next()) / 4294967296);
  return (out, scale, mean) => {
    for (let i = 0; i < out.length; i++) {
      const r = next();
      let v = (table[r & 65535] + table[r >>> 16]) * Math.SQRT1_2 * scale;
      if ((r & 1023) === 7) v *= 12; // outliers
      out[i] = mean + v;
    }
  };
}

/** Writes the weights as safetensors; returns the header's entries with absolute offsets. */
export function writeSafetensors(file, layers = 24) {
  const fill = normals(20260301 + layers);
  const header = {};
  let at = 0;
  const list = shapes(layers);
  for (const [name, shape] of list) {
    const bytes = shape.reduce((a, b) => a * b, 1) * 4;
    header[name] = { dtype: 'F32', shape, data_offsets: [at, at + bytes] };
    at += bytes;
  }
  let text = JSON.stringify(header);
  text += ' '.repeat((8 - (text.length % 8)) % 8);
  const fd = fs.openSync(file, 'w');
  const head = Buffer.alloc(8 + text.length);
  head.writeBigUInt64LE(BigInt(text.length));
  head.write(text, 8);
  fs.writeSync(fd, head);
  const block = new Float32Array(1 << 18);
  for (const [name, shape] of list) {
    let left = shape.reduce((a, b) => a * b, 1);
    const norm = /LayerNorm\.weight$/.test(name);
    const scale = /bias$/.test(name) ? 0.01 : norm ? 0.05 : 0.015 + (name.length % 7) * 0.004;
    while (left > 0) {
      const part = block.subarray(0, Math.min(left, block.length));
      fill(part, scale, norm ? 1 : 0);
      fs.writeSync(fd, Buffer.from(part.buffer, 0, part.byteLength));
      left -= part.length;
    }
  }
  fs.closeSync(fd);
  return list.map(([name, shape]) => ({
    name,
    shape,
    offset: head.length + header[name].data_offsets[0],
    length: header[name].data_offsets[1] - header[name].data_offsets[0],
  }));
}

const i64 = (...values) => new Uint8Array(BigInt64Array.from(values.map(BigInt)).buffer);
const f32 = (...values) => new Uint8Array(Float32Array.from(values).buffer);

/** The encoder as an ONNX graph whose weights are external data in `location` (the safetensors file). */
export async function encoderGraph(weights, location, layers = 24) {
  const { encodeModel } = await import('../../dist/graph/build.js');
  const nodes = [];
  const initializers = weights.map(({ name, shape, offset, length }) => ({
    name,
    dtype: 'f32',
    shape,
    external: { location, offset, length },
  }));
  const constant = (name, dtype, shape, raw) => initializers.push({ name, dtype, shape, raw });
  constant('heads', 'i64', [4], i64(0, 0, 16, 64));
  constant('merged', 'i64', [3], i64(0, 0, HIDDEN));
  constant('scale', 'f32', [], f32(0.125));
  constant('half', 'f32', [], f32(0.5));
  constant('one', 'f32', [], f32(1));
  constant('root', 'f32', [], f32(Math.SQRT1_2));
  constant('zero', 'i64', [1], i64(0));
  let n = 0;
  const op = (type, inputs, attributes) => {
    const out = `t${n++}`;
    nodes.push({ op: type, inputs, outputs: [out], ...(attributes ? { attributes } : {}) });
    return out;
  };
  const dense = (x, name) => op('Add', [op('MatMul', [x, `${name}.weight`]), `${name}.bias`]);
  const norm = (x, name) =>
    op('LayerNormalization', [x, `${name}.weight`, `${name}.bias`], { axis: -1n, epsilon: 1e-12 });
  const split = (x, perm) => op('Transpose', [op('Reshape', [x, 'heads'])], { perm });
  const length = op('Slice', [op('Shape', ['input_ids']), 'one_index', 'two_index', 'zero']);
  constant('one_index', 'i64', [1], i64(1));
  constant('two_index', 'i64', [1], i64(2));
  const positions = op('Slice', ['embeddings.position_embeddings.weight', 'zero', length, 'zero']);
  const words = op('Gather', ['embeddings.word_embeddings.weight', 'input_ids'], { axis: 0n });
  let x = norm(op('Add', [words, positions]), 'embeddings.LayerNorm');
  for (let i = 0; i < layers; i++) {
    const at = `encoder.layer.${i}.`;
    const q = split(dense(x, `${at}attention.query`), [0n, 2n, 1n, 3n]);
    const k = split(dense(x, `${at}attention.key`), [0n, 2n, 3n, 1n]);
    const v = split(dense(x, `${at}attention.value`), [0n, 2n, 1n, 3n]);
    const weights = op('Softmax', [op('Mul', [op('MatMul', [q, k]), 'scale'])], { axis: -1n });
    const context = op('Reshape', [
      op('Transpose', [op('MatMul', [weights, v])], { perm: [0n, 2n, 1n, 3n] }),
      'merged',
    ]);
    x = norm(op('Add', [x, dense(context, `${at}attention.output`)]), `${at}attention.LayerNorm`);
    const inner = dense(x, `${at}intermediate`);
    const gelu = op('Mul', [
      op('Mul', [inner, 'half']),
      op('Add', [op('Erf', [op('Mul', [inner, 'root'])]), 'one']),
    ]);
    x = norm(op('Add', [x, dense(gelu, `${at}output`)]), `${at}output.LayerNorm`);
  }
  nodes.push({ op: 'Tanh', inputs: [dense(x, 'pooler')], outputs: ['pooled'] });
  return encodeModel({
    opset: 17,
    nodes,
    inputs: [{ name: 'input_ids', dtype: 'i64', shape: ['batch', 'sequence'] }],
    outputs: [{ name: 'pooled', dtype: 'f32', shape: ['batch', 'sequence', HIDDEN] }],
    initializers,
  });
}
