import { elementCount } from '../../core/dtype.js';
import type { WorkContext } from '../../core/format.js';
import { type Finding, finding, isMlserError, MlserError } from '../../errors.js';
import { type ActualDevice, chooseDevice, parseDevice } from '../../runtime/devices.js';
import { type Runnable, runnable, uncallable } from '../../validate/runnable.js';
import { type OpenedModel, openModel } from '../open.js';
import { startFor } from './processes.js';
import type { Subject } from './subject.js';

/** The devices that are here. E_DEVICE if none is; a finding for each that is not. */
export async function findDevices(
  names: readonly string[],
  context: WorkContext,
): Promise<{ devices: ActualDevice[]; findings: Finding[] }> {
  const wanted = names.map(parseDevice);
  const devices = new Set<ActualDevice>();
  const absent: MlserError[] = [];
  const runtime = startFor(context);
  try {
    for (const device of wanted)
      try {
        devices.add(await chooseDevice(runtime, device));
      } catch (error) {
        if (!isMlserError(error) || error.code !== 'E_DEVICE') throw error;
        absent.push(error);
      }
  } finally {
    await runtime.close();
  }
  const [first] = absent;
  if (devices.size === 0 && first) throw first;
  return {
    devices: [...devices],
    findings: absent.map(({ message, details, hint }) =>
      finding('warning', 'DEVICE_MISSING', String(details['device']), `${message}; skipped (${hint ?? ''})`),
    ),
  };
}

/** A model, or why it cannot be measured. */
export interface Candidate {
  readonly path: string;
  readonly opened?: OpenedModel;
  readonly facts: Pick<Subject, 'target' | 'graph' | 'bytes' | 'parameters' | 'error'>;
}

/** Opens every model. What cannot be opened, or has no graph that runs, keeps its error. */
export async function openCandidates(paths: readonly string[], context: WorkContext): Promise<Candidate[]> {
  const candidates: Candidate[] = [];
  for (const path of paths) {
    let opened: OpenedModel | undefined;
    try {
      opened = await openModel(path, context);
      candidates.push({ path, opened, facts: await factsOf(opened) });
    } catch (error) {
      if (!isMlserError(error) || error.code === 'E_INTERRUPTED') throw error;
      candidates.push({ path, ...(opened ? { opened } : {}), facts: { error } });
    }
  }
  return candidates;
}

async function factsOf({ input, model, files }: OpenedModel): Promise<Candidate['facts']> {
  const target = runnable(model, files);
  if (!target) throw notRunnable(input, model.graph !== undefined);
  const odd = uncallable(target);
  if (odd) throw new MlserError('E_UNSUPPORTED', odd.message, { details: { input, value: odd.subject } });
  const { path: graph } = await files.open(files.main);
  return {
    target,
    ...(graph === undefined ? {} : { graph }),
    bytes: files.opened().reduce((sum, { size }) => sum + size, 0),
    parameters: parametersOf(target),
  };
}

const parametersOf = ({ model }: Runnable): number =>
  model.tensors
    .filter(({ info }) => !model.aliases.has(info.name))
    .reduce((sum, { info }) => sum + elementCount(info.shape), 0);

const notRunnable = (input: string, graph: boolean): MlserError =>
  new MlserError(
    'E_UNSUPPORTED',
    `${input} ${graph ? 'is not a local ONNX file' : 'has no graph'}: it cannot be run, so nothing can be measured`,
    {
      details: { input },
      hint: graph
        ? 'download it first'
        : 'give an .onnx file, or put the weights into a graph with mlser convert --graph',
    },
  );
