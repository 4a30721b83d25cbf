import { isMlserError, MlserError } from '../errors.js';
import { encodeModel } from '../graph/build.js';
import type { Runtime } from './process.js';
import type { SessionSettings } from './protocol.js';

export const DEVICES = ['auto', 'cpu', 'cuda', 'webgpu', 'dml', 'coreml'] as const;
export type Device = (typeof DEVICES)[number];
/** A device that sessions run on: what `auto` became. */
export type ActualDevice = Exclude<Device, 'auto'>;

const FIXES: Readonly<Record<ActualDevice, string>> = {
  cpu: 'reinstall onnxruntime-node: its cpu library is missing',
  cuda:
    'on linux x64 with an NVIDIA driver, CUDA and cuDNN: install onnxruntime-node with its install script ' +
    '(npm rebuild onnxruntime-node, with network), which fetches the CUDA provider',
  webgpu:
    'WebGPU needs a GPU driver (Vulkan, Metal or Direct3D 12); without a GPU a software Vulkan driver will do: ' +
    'point VK_DRIVER_FILES at its JSON file and have libvulkan.so.1 on the library path',
  dml: 'DirectML exists on Windows only',
  coreml: 'Core ML exists on macOS only',
};

export function parseDevice(text: string): Device {
  const device = DEVICES.find((known) => known === text);
  if (device !== undefined) return device;
  throw new MlserError('E_USAGE', `${JSON.stringify(text)} is not a device`, {
    details: { device: text, known: [...DEVICES] },
    hint: `use one of ${DEVICES.join(', ')}`,
  });
}

/** Execution providers in order: what the device lacks runs on the cpu. */
export const providersOf = (device: ActualDevice): readonly string[] =>
  device === 'cpu' ? ['cpu'] : [device, 'cpu'];

/** Best first; `auto` takes the first that works. */
const PREFERENCE: readonly ActualDevice[] = ['cuda', 'coreml', 'dml', 'webgpu'];

/**
 * The device to use: asks the runtime by running a one-node graph on it. E_DEVICE with the fix where it is absent;
 * `auto` falls back to the cpu.
 */
export async function chooseDevice(runtime: Runtime, device: Device): Promise<ActualDevice> {
  if (device === 'cpu') return 'cpu';
  if (device === 'auto') {
    for (const candidate of PREFERENCE)
      if ((await absence(runtime, candidate)) === undefined) return candidate;
    return 'cpu';
  }
  const reason = await absence(runtime, device);
  if (reason === undefined) return device;
  throw new MlserError('E_DEVICE', `the device ${device} cannot be used here: ${reason}`, {
    details: { device, reason },
    hint: FIXES[device],
  });
}

/** Why a device cannot be used; undefined if it can. */
async function absence(runtime: Runtime, device: ActualDevice): Promise<string | undefined> {
  // The runtime would run on the cpu without a word if it does not know the name at all.
  const known = await runtime.backends();
  if (!known.some((backend) => backend.name === device))
    return 'this build of onnxruntime has no such device';
  const settings: SessionSettings = { providers: providersOf(device), threads: 1, lean: true };
  try {
    const session = await runtime.create({ bytes: await probe() }, settings, `a probe of ${device}`);
    const feeds = new Map([['x', { type: 'float32', dims: [1], data: Float32Array.of(1.5) } as const]]);
    const { outputs } = await session.run(feeds);
    await session.release();
    return outputs.get('y')?.data[0] === 3 ? undefined : 'it adds wrongly';
  } catch (error) {
    if (!isMlserError(error) || error.code !== 'E_RUNTIME') throw error;
    return String(error.details['runtime'] ?? error.message);
  }
}

/** The graph y = x + x over one f32. */
const probe = (): Promise<Uint8Array> => {
  const shape = [1];
  return encodeModel({
    opset: 13,
    irVersion: 8,
    nodes: [{ op: 'Add', inputs: ['x', 'x'], outputs: ['y'] }],
    inputs: [{ name: 'x', dtype: 'f32', shape }],
    outputs: [{ name: 'y', dtype: 'f32', shape }],
  });
};
