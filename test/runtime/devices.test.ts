import { afterAll, describe, expect, it } from 'vitest';
import { chooseDevice, DEVICES, parseDevice, providersOf } from '../../src/runtime/devices.js';
import { startRuntime } from '../../src/runtime/process.js';
import { doubling } from './models.js';

const runtime = startRuntime();
afterAll(() => runtime.close());
const webgpu = await chooseDevice(runtime, 'webgpu').then(
  () => true,
  () => false,
);

describe('devices', () => {
  it('are known by name', () => {
    for (const device of DEVICES) expect(parseDevice(device)).toBe(device);
    expect(() => parseDevice('gpu')).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
  });

  it('auto takes what is there', async () => {
    expect(['cpu', 'webgpu', 'cuda', 'dml', 'coreml']).toContain(await chooseDevice(runtime, 'auto'));
  });

  it.skipIf(process.platform === 'win32')('that are absent are refused with the fix', async () => {
    await expect(chooseDevice(runtime, 'dml')).rejects.toMatchObject({
      code: 'E_DEVICE',
      details: { device: 'dml' },
      hint: expect.stringContaining('Windows'),
    });
  });

  it.skipIf(!webgpu)('webgpu runs a graph', async () => {
    const settings = { providers: providersOf('webgpu'), threads: 1, lean: false };
    const session = await runtime.create({ bytes: await doubling([2]) }, settings, 'doubling');
    const { outputs } = await session.run(
      new Map([['x', { type: 'float32', dims: [2], data: Float32Array.of(1, 2) } as const]]),
    );
    expect(outputs.get('y')?.data).toEqual(Float32Array.of(2, 4));
  });

  it.skipIf(webgpu)('webgpu without an adapter is refused with the fix', async () => {
    await expect(chooseDevice(runtime, 'webgpu')).rejects.toMatchObject({
      code: 'E_DEVICE',
      hint: expect.stringContaining('VK_DRIVER_FILES'),
    });
  });
});
