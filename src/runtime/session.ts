import type { InferenceSession, Tensor } from 'onnxruntime-node';
import type { CreatedSession, ModelReference, SessionSettings } from './protocol.js';
import type { Value, ValueInfo, ValueType } from './values.js';

/** The runtime's sessions. Runs in the child process only. */
type Runtime = typeof import('onnxruntime-node');
let loaded: Runtime | undefined;

export async function loadRuntime(): Promise<Runtime> {
  // Node 24 and later have a Float16Array, which onnxruntime-node 1.30 makes tensors of that its own library finds empty
  // ("not enough space: expected 256, got 0"). Where there is none it takes Uint16Array.
  Reflect.deleteProperty(globalThis, 'Float16Array');
  loaded ??= await import('onnxruntime-node');
  return loaded;
}

const sessions = new Map<number, InferenceSession>();
/** Where sessions that are profiled write what they saw. */
const profiles = new WeakMap<InferenceSession, string>();
let next = 1;

export async function createSession(
  model: ModelReference,
  settings: SessionSettings,
): Promise<CreatedSession> {
  const { InferenceSession } = await loadRuntime();
  const folder = 'bytes' in model ? model.folder : undefined;
  const options = sessionOptions(settings, folder);
  const started = performance.now();
  const session =
    'path' in model
      ? await InferenceSession.create(model.path, options)
      : await InferenceSession.create(model.bytes, options);
  const milliseconds = performance.now() - started;
  const id = next++;
  sessions.set(id, session);
  if (settings.profile) profiles.set(session, settings.profile.prefix);
  return {
    session: id,
    milliseconds,
    inputs: session.inputMetadata.map(describe),
    outputs: session.outputMetadata.map(describe),
  };
}

function sessionOptions(
  settings: SessionSettings,
  folder: string | undefined,
): InferenceSession.SessionOptions {
  const { lean, optimizedTo, optimizedWeights, optimization = 'all', profile, spin = false } = settings;
  return {
    ...(profile ? { enableProfiling: true, profileFilePrefix: profile.prefix } : {}),
    ...(optimizedTo === undefined ? {} : { optimizedModelFilePath: optimizedTo }),
    executionProviders: settings.providers,
    intraOpNumThreads: settings.threads,
    // Folding and packing copy weights out of the mapped file; the arena keeps what it once had.
    graphOptimizationLevel: lean ? 'disabled' : optimization,
    enableCpuMemArena: !lean,
    enableMemPattern: !lean,
    logSeverityLevel: 4,
    extra: {
      session: {
        ...(lean || profile?.unpacked ? { disable_prepacking: '1' } : {}),
        ...(folder === undefined ? {} : { model_external_initializers_file_folder_path: folder }),
        ...(optimizedWeights === undefined
          ? {}
          : { optimized_model_external_initializers_file_name: optimizedWeights }),
        // Waiting threads sleep: the parent has work for the cores too.
        intra_op: { allow_spinning: spin ? '1' : '0' },
        // Between runs they sleep in any case, for then others are measured.
        ...(spin ? { force_spinning_stop: '1' } : {}),
      },
    },
  };
}

function describe(meta: InferenceSession.ValueMetadata): ValueInfo {
  if (!meta.isTensor) return { name: meta.name, type: undefined, shape: undefined };
  // An empty symbol is an unknown dimension.
  const shape = meta.shape.map((dim) => (dim === '' ? null : dim));
  return { name: meta.name, type: meta.type as ValueType, shape };
}

export async function runSession(
  id: number,
  feeds: readonly (readonly [string, Value])[],
  fetches: readonly string[],
): Promise<{ outputs: (readonly [string, Value])[]; milliseconds: number }> {
  const session = known(id);
  const inputs = await tensorsOf(feeds);
  const started = performance.now();
  const results = await session.run(inputs, fetches);
  const milliseconds = performance.now() - started;
  const outputs = fetches.map((name) => [name, toValue(name, results[name])] as const);
  return { outputs, milliseconds };
}

/** Feeds as the runtime takes them. */
export async function tensorsOf(
  feeds: readonly (readonly [string, Value])[],
): Promise<Record<string, Tensor>> {
  const { Tensor } = await loadRuntime();
  // A null prototype: names from a model are keys here.
  const inputs = Object.create(null) as Record<string, Tensor>;
  for (const [name, value] of feeds)
    inputs[name] = new Tensor(value.type, value.data as Tensor.DataType, value.dims) as Tensor;
  return inputs;
}

function toValue(name: string, value: InferenceSession.OnnxValueMapType[string] | undefined): Value {
  if (value === undefined) throw new Error(`the runtime gave no output ${name}`);
  const tensor = value as Tensor;
  const { data } = tensor;
  return {
    type: tensor.type as ValueType,
    dims: [...tensor.dims],
    // Newer engines have a Float16Array; its bits are what we speak.
    data:
      tensor.type === 'float16' && ArrayBuffer.isView(data)
        ? new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2)
        : (data as Value['data']),
  };
}

export async function releaseSession(id: number): Promise<void> {
  const session = known(id);
  sessions.delete(id);
  await session.release();
}

/** Ends the profile of a session; what its file begins with. */
export function finishProfile(id: number): string {
  const session = known(id);
  const prefix = profiles.get(session);
  if (prefix === undefined) throw new Error(`session ${id} is not profiled`);
  profiles.delete(session);
  session.endProfiling();
  return prefix;
}

export function known(id: number): InferenceSession {
  const session = sessions.get(id);
  if (!session) throw new Error(`no session ${id}`);
  return session;
}
