import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { PART_BYTES } from '../../src/runtime/parts.js';
import { type Runtime, startRuntime } from '../../src/runtime/process.js';
import type { Value } from '../../src/runtime/values.js';
import { aborting, CPU, doubling, graph } from './models.js';

const x = (...values: number[]): ReadonlyMap<string, Value> =>
  new Map([['x', { type: 'float32', dims: [values.length], data: Float32Array.from(values) }]]);

describe('the runtime in a child process', () => {
  let runtime: Runtime | undefined;
  afterEach(() => runtime?.close());

  it('describes a session, runs it and releases it', async () => {
    runtime = startRuntime();
    const session = await runtime.create({ bytes: await doubling(['n']) }, CPU, 'doubling');
    expect(session.inputs).toEqual([{ name: 'x', type: 'float32', shape: ['n'] }]);
    const { outputs } = await session.run(x(1, 2.5, -3));
    expect(outputs.get('y')).toEqual({ type: 'float32', dims: [3], data: Float32Array.of(2, 5, -6) });
    await session.release();
    await expect(session.run(x(1))).rejects.toMatchObject({ code: 'E_RUNTIME' });
  });

  it('large outputs, which come in parts, are those that small ones would be', async () => {
    runtime = startRuntime();
    const session = await runtime.create({ bytes: await doubling(['n']) }, CPU, 'doubling');
    // Two whole parts and some of a third.
    const values = Float32Array.from({ length: (2 * PART_BYTES) / 4 + 3 }, (_, i) => Math.sin(i));
    const feeds = new Map<string, Value>([['x', { type: 'float32', dims: [values.length], data: values }]]);
    for (let i = 0; i < 2; i++) {
      const { dims, data } = (await session.run(feeds)).outputs.get('y') ?? {};
      expect(dims).toEqual([values.length]);
      if (!(data instanceof Float32Array)) throw new Error('another type');
      const wanted = values.map((one) => one + one);
      expect(Buffer.from(data.buffer).equals(Buffer.from(wanted.buffer))).toBe(true);
    }
    expect((await session.run(x(1))).outputs.get('y')?.data).toEqual(Float32Array.of(2));
  });

  it('hands on what the runtime says when it refuses', async () => {
    runtime = startRuntime();
    const session = await runtime.create({ bytes: await doubling([2]) }, CPU, 'small.onnx');
    await expect(session.run(x(1, 2, 3))).rejects.toMatchObject({
      code: 'E_RUNTIME',
      message: expect.stringMatching(/running small\.onnx.*dimensions/i),
    });
    await expect(runtime.create({ bytes: Uint8Array.of(8, 7, 255) }, CPU, 'junk.onnx')).rejects.toMatchObject(
      {
        code: 'E_RUNTIME',
        details: { during: 'loading junk.onnx' },
      },
    );
  });

  it('survives an abort of native code and starts again', async () => {
    runtime = startRuntime();
    const other = await runtime.create({ bytes: await doubling([1]) }, CPU, 'other');
    const session = await runtime.create({ bytes: await aborting() }, CPU, 'int4.onnx');
    const crash = {
      code: 'E_RUNTIME',
      details: { crashed: true, signal: 'SIGABRT', during: 'running int4.onnx' },
    };
    await expect(session.run(x(1, 2, 3, 4))).rejects.toMatchObject(crash);
    // Sessions of the child that died are gone, and say so.
    await expect(other.run(x(1))).rejects.toMatchObject({ code: 'E_RUNTIME', details: { crashed: true } });
    await other.release();
    const again = await runtime.create({ bytes: await doubling([1]) }, CPU, 'again');
    expect((await again.run(x(21))).outputs.get('y')?.data[0]).toBe(42);
  });

  it('times runs on feeds that it holds, and tells its memory', async () => {
    runtime = startRuntime();
    const session = await runtime.create({ bytes: await doubling(['n']) }, CPU, 'doubling');
    expect(session.loadMilliseconds).toBeGreaterThan(0);
    await expect(session.measure(0, 1)).rejects.toMatchObject({ code: 'E_RUNTIME' });
    await session.hold(x(1, 2));
    const times = await session.measure(1, 5);
    expect(times).toHaveLength(5);
    expect(times.every((ms) => ms > 0)).toBe(true);
    const { now, peak } = await runtime.memory();
    expect(now).toBeGreaterThan(1 << 20);
    expect(peak).toBeGreaterThanOrEqual(now);
  });

  it('tells the time and the shapes of every node, and leaves no profile behind', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'mlser-profile-test-'));
    try {
      runtime = startRuntime();
      const profile = { prefix: path.join(folder, 'p-'), unpacked: false };
      const session = await runtime.create({ bytes: await doubling(['n']) }, { ...CPU, profile }, 'doubling');
      await session.hold(x(1, 2, 3));
      await session.measure(1, 3);
      const { nodes, runs } = await session.endProfile();
      expect(runs).toHaveLength(4);
      const three = ['float', [3]];
      expect(nodes).toMatchObject([{ op: 'Add', inputs: [three, three], outputs: [three] }]);
      expect(nodes[0]?.microseconds).toHaveLength(4);
      expect(readdirSync(folder)).toEqual([]);
      await expect(session.endProfile()).rejects.toMatchObject({ code: 'E_RUNTIME' });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it('listens once for our own end, however many there are', async () => {
    const before = process.listenerCount('exit');
    const several = Array.from({ length: 3 }, () => startRuntime());
    await Promise.all(several.map((one) => one.backends()));
    expect(process.listenerCount('exit')).toBe(before + 1);
    await Promise.all(several.map((one) => one.close()));
    expect(process.listenerCount('exit')).toBe(before);
  });

  it('ends a request that takes too long', async () => {
    runtime = startRuntime({ timeoutMs: 1 });
    await expect(runtime.create({ bytes: await doubling([1]) }, CPU, 'slow')).rejects.toMatchObject({
      code: 'E_RUNTIME',
      details: { timedOut: true },
    });
  });

  it('ends when it is interrupted', async () => {
    const controller = new AbortController();
    runtime = startRuntime({ signal: controller.signal });
    const starting = runtime.create({ bytes: await doubling([1]) }, CPU, 'interrupted');
    controller.abort();
    await expect(starting).rejects.toMatchObject({ code: 'E_INTERRUPTED' });
  });

  it('leaves our event loop free while it computes', async () => {
    runtime = startRuntime();
    const size = 700;
    const names = Array.from({ length: 12 }, (_, i) => (i === 0 ? 'x' : `h${i}`));
    const nodes = names.map((name, i) => ({
      op: 'MatMul',
      inputs: [name, 'x'],
      outputs: [i === names.length - 1 ? 'y' : (names[i + 1] ?? '')],
    }));
    const bytes = await graph(nodes, ['f32', [size, size]], ['f32', [size, size]]);
    const session = await runtime.create({ bytes }, CPU, 'busy');
    let ticks = 0;
    const timer = setInterval(() => ticks++, 2);
    const feeds: ReadonlyMap<string, Value> = new Map([
      ['x', { type: 'float32', dims: [size, size], data: new Float32Array(size * size) }],
    ]);
    const { milliseconds } = await session.run(feeds);
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(Math.min(5, milliseconds / 20));
  });
});
