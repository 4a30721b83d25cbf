import type { InferenceSession, Tensor } from 'onnxruntime-node';
import type { CreatedSession, ModelReference, SessionSettings } from './protocol.js';
import type { Value, ValueInfo, ValueType } from './values.js';

/** The runtime's sessions. Runs in the child process only. */
type Runtime = typeof import('onnxruntime-node');
let loaded: Runtime | undefined;

export async function loadRuntime(): Promise<Runtime> {
  loaded ??= await import('onnxruntime-node');
  return loaded;
}

const sessions = new Map<number, InferenceSession>();
let next = 1;

export async function createSession(
  model: ModelReference,
  settings: SessionSettings,
): Promise<CreatedSession> {
  const { InferenceSession } = await loadRuntime();
  const folder = 'bytes' in model ? model.folder : undefined;
  const options = sessionOptions(settings, folder);
  const session =
    'path' in model
      ? await InferenceSession.create(model.path, options)
      : await InferenceSession.create(model.bytes, options);
  const id = next++;
  sessions.set(id, session);
  return {
    session: id,
    inputs: session.inputMetadata.map(describe),
    outputs: session.outputMetadata.map(describe),
  };
}

function sessionOptions(
  settings: SessionSettings,
  folder: string | undefined,
): InferenceSession.SessionOptions {
  const { lean, optimizedTo, optimizedWeights, optimization = 'all' } = settings;
  return {
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
        ...(lean ? { disable_prepacking: '1' } : {}),
        ...(folder === undefined ? {} : { model_external_initializers_file_folder_path: folder }),
        ...(optimizedWeights === undefined
          ? {}
          : { optimized_model_external_initializers_file_name: optimizedWeights }),
        // Waiting threads sleep: the parent has work for the cores too.
        intra_op: { allow_spinning: '0' },
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
  const { Tensor } = await loadRuntime();
  const session = known(id);
  // A null prototype: names from a model are keys here.
  const inputs = Object.create(null) as Record<string, Tensor>;
  for (const [name, value] of feeds)
    inputs[name] = new Tensor(value.type, value.data as Tensor.DataType, value.dims) as Tensor;
  const started = performance.now();
  const results = await session.run(inputs, fetches);
  const milliseconds = performance.now() - started;
  const outputs = fetches.map((name) => [name, toValue(name, results[name])] as const);
  return { outputs, milliseconds };
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

function known(id: number): InferenceSession {
  const session = sessions.get(id);
  if (!session) throw new Error(`no session ${id}`);
  return session;
}
