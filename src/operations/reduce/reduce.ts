import type { WorkContext } from '../../core/format.js';
import { MlserError } from '../../errors.js';
import { madeValues } from '../../graph/made-values.js';
import { createScratch } from '../../io/scratch-file.js';
import { withArrays } from '../../runtime/arrays.js';
import { chooseDevice, parseDevice } from '../../runtime/devices.js';
import { startRuntime } from '../../runtime/process.js';
import { type OpenContext, withModels } from '../open.js';
import { outputFormat } from '../output.js';
import { Taps } from '../trace/taps.js';
import { withWholeTime } from '../whole-time.js';
import { Candidates } from './candidates.js';
import { besides, checkOutputs } from './files.js';
import { firstFailure } from './first-failure.js';
import { PartModels } from './part-models.js';
import { reduceGraph } from './reduction.js';
import type { ReduceReport } from './report.js';
import { checkOf, feedsOf, gateOf, type ReduceOptions, type Work } from './setup.js';
import { prove, writePart } from './write-part.js';

export type { ReduceOptions } from './setup.js';

/**
 * The smallest part of a graph that still fails a check: a command of the user, or the gate's own (outputs that differ
 * from the reference's; without a reference, a graph that the runtime refuses, fails or crashes at, or whose outputs are
 * not finite). Values at which the graph is cut become inputs, fed with what they are in the whole graph (in the
 * reference, where there is one), so that the failure stays. Every check runs in a process of its own. The
 * file that is written has failed the check itself.
 *
 * @throws E_USAGE if the model does not fail, or its command cannot be run; E_VALIDATION if the part fails no more
 * once it is a file; what `openModel` and `writeModel` throw.
 * @example
 * await reduceModel('model.onnx', 'small.onnx', { reference: 'good.onnx', validate: 'weights', device: 'cpu' }, context)
 */
export const reduceModel = (
  input: string,
  output: string,
  options: ReduceOptions,
  context: WorkContext & OpenContext,
): Promise<ReduceReport> =>
  withWholeTime(async () => {
    const { descriptor } = await outputFormat(output, options.to);
    if (descriptor.id !== 'onnx')
      throw new MlserError('E_USAGE', `${output}: a part of a graph is written as ONNX`, {
        details: { output, format: descriptor.id },
        hint: 'name an output that ends in .onnx',
      });
    const names = options.reference === undefined ? [input] : [input, options.reference];
    return withModels(names, context, async ([own, reference]) => {
      if (!own) throw new Error('no input was opened');
      const { feedsOut = besides(output), referenceOut } = options;
      if (!options.dryRun)
        await checkOutputs(output, [feedsOut, ...(referenceOut === undefined ? [] : [referenceOut])], {
          force: options.force ?? false,
          inputs: [own, ...(reference ? [reference] : [])].flatMap(({ files }) =>
            files.opened().flatMap(({ path }) => path ?? []),
          ),
        });
      const timeout = options.check === undefined ? options.timeoutMs : undefined;
      const runtime = startRuntime({
        ...(context.signal ? { signal: context.signal } : {}),
        ...(timeout === undefined ? {} : { timeoutMs: timeout }),
      });
      const scratch = createScratch();
      try {
        return await withArrays(options.inputs, (file) =>
          reduceOpened({ own, reference, output, options, runtime, file, folder: scratch.folder, context }),
        );
      } finally {
        scratch.remove();
        await runtime.close();
      }
    });
  });

async function reduceOpened(work: Work): Promise<ReduceReport> {
  const { own, options, runtime, context } = work;
  const device = await chooseDevice(runtime, parseDevice(options.device));
  const taps = new Taps(own, device, runtime, context);
  const values = madeValues(own.model).map(({ name }) => name);
  const models = new PartModels(taps);
  context.progress.stage('reduce', 0);
  const loads = await models.learn(values);
  const gate = gateOf(work, device);
  const base = gate.reference
    ? new Taps(work.reference ?? own, gate.reference.device, runtime, context)
    : taps;
  const names = gate.reference?.names;
  // The graph's own outputs are looked at whatever they are, unless they have to be compared.
  const given = new Set(own.model.graph?.outputs.map(({ name }) => name));
  const mayBeCut = (name: string): boolean =>
    names
      ? names.has(name) && (!loads || models.knows(name))
      : !loads || models.knows(name) || given.has(name);
  const candidates = new Candidates(own.model, mayBeCut);
  const check = checkOf(work, gate);
  const setting = { candidates, models, check, base, names, work };
  const { failure, partOf: part } = await firstFailure(setting, await feedsOf(taps, work.file));
  const reduced = await reduceGraph({
    ...{ candidates, partOf: part, check, failure, context },
    maxChecks: options.maxChecks ?? Number.POSITIVE_INFINITY,
  });
  const result = await part(reduced.candidate);
  if (!result) throw new Error('the part that failed cannot be made again');
  await prove(work, gate, result, failure);
  return writePart(work, gate, { reduced, result, failure, nodesBefore: candidates.items.length });
}
