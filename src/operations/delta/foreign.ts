import type { WorkContext } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import { MlserError } from '../../errors.js';
import { detectFormat } from '../../formats/detect.js';
import { isFolder, joinPath, makeFolder } from '../../io/disk.js';
import type { InputFiles } from '../../io/files.js';
import { stageOutput } from '../../io/staged.js';
import { checkWeights } from '../../validate/weights.js';
import { hashModel } from '../hashes.js';
import { tensorBytesOf } from '../inspect.js';
import { type OpenContext, type OpenedModel, withModels } from '../open.js';
import { filesOf, type OutputOptions } from '../write.js';
import { DIALECTS, type Dialect, dialectById } from './dialects/index.js';
import { hashesOf } from './plan.js';
import type { DeltaCreateReport } from './report.js';

/** @throws E_USAGE naming the dialects. */
export function foreignDialect(id: string): Dialect {
  const found = dialectById(id);
  if (found) return found;
  throw new MlserError('E_USAGE', `--dialect ${JSON.stringify(id)}: no such layout`, {
    hint: `use native, ${DIALECTS.map((dialect) => dialect.id).join(', ')}`,
  });
}

/** Writes `next` as differences to `base` in the layout of another program, applies it again and compares. */
export const createForeign = (
  base: string,
  next: string,
  output: string,
  dialect: Dialect,
  options: OutputOptions,
  context: WorkContext & OpenContext,
): Promise<DeltaCreateReport> =>
  withModels([next, base], context, ([opened, from]) => {
    if (!opened || !from) throw new Error('two models are needed');
    return write(from, opened, output, dialect, options, context);
  });

/** A folder, unless the layout is one file and the output is named like one. */
const targetOf = (output: string, dialect: Dialect): { readonly target: string; readonly folder?: string } =>
  /\.safetensors$/.test(output) && dialect.file.endsWith('.safetensors') && !isFolder(output)
    ? { target: output }
    : { target: joinPath(output, dialect.file), folder: output };

async function write(
  base: OpenedModel,
  next: OpenedModel,
  output: string,
  dialect: Dialect,
  options: OutputOptions,
  context: WorkContext,
): Promise<DeltaCreateReport> {
  const started = performance.now();
  const { content, hashes } = await hashesOf(base.model, context);
  const after = await hashModel(next.model, context);
  const changed = next.model.tensors.filter(
    ({ info }) => hashes.get(info.name) !== after.tensors.get(info.name),
  );
  const { target, folder } = targetOf(output, dialect);
  const unmake = folder === undefined ? () => {} : makeFolder(folder);
  const files = stageOutput(target, {
    force: options.force ?? false,
    sync: options.sync ?? true,
    inputs: [next, base].flatMap(({ files: read }) => read.opened().flatMap(({ path }) => path ?? [])),
  });
  try {
    context.progress.stage('write', tensorBytesOf(next.model));
    const findings = await dialect.write(base.model, next.model, files, context);
    const staged = await files.stage();
    try {
      const written = await filesOf(staged);
      const result = await reread(staged, dialect, base.model, context);
      const weights = await checkWeights(
        { written: result, intended: next.model, source: next.model },
        context,
      );
      const passed = weights.findings.every(({ severity }) => severity !== 'error');
      if (passed && !options.dryRun) {
        for (const { files: read } of [next, base]) await read.assertUnchanged();
        await files.commit();
      } else await files.abort();
      const bytesOut = written.reduce((sum, { bytes }) => sum + bytes, 0);
      const tensorBytes = tensorBytesOf(next.model);
      const changedBytes = changed.reduce((sum, { byteLength }) => sum + byteLength, 0);
      return {
        command: 'delta create',
        input: next.input,
        output,
        format: dialect.id,
        ...(options.dryRun ? { dryRun: true } : {}),
        bytesIn: next.files.opened().reduce((sum, { size }) => sum + size, 0),
        bytesOut,
        ratio: bytesOut === 0 ? 0 : tensorBytes / bytesOut,
        files: written,
        tensors: changed.map(({ info, byteLength }) => ({
          ...{ name: info.name, action: 'delta', dtypeIn: info.dtype, dtypeOut: info.dtype },
          ...{ shape: info.shape, bytesIn: byteLength, bytesOut: byteLength },
        })),
        findings: [...findings, ...weights.findings],
        validation: { level: 'weights', device: 'cpu', passed, structure: true, weights: weights.report },
        seconds: (performance.now() - started) / 1000,
        base: { content },
        target: { content: after.content },
        changedTensors: changed.length,
        changedFraction: tensorBytes === 0 ? 0 : changedBytes / tensorBytes,
        codecs: { [dialect.id]: { tensors: changed.length, bytesIn: changedBytes, bytesOut } },
        depth: 1,
        tensorBytes,
      };
    } finally {
      await staged.close();
    }
  } catch (error) {
    await files.abort();
    throw error;
  } finally {
    unmake();
  }
}

/** What a receiver would make of the staged files. */
async function reread(
  staged: InputFiles,
  dialect: Dialect,
  base: Model,
  context: WorkContext,
): Promise<Model> {
  const descriptor = await detectFormat(staged);
  const model = await (await descriptor.reader()).read(staged, context);
  const opened: OpenedModel = {
    ...{ input: staged.label, model, files: staged, descriptor, bases: [] },
    close: async () => {},
  };
  const result = await dialect.apply(base, opened, context);
  await dialect.verify?.(result, opened, context);
  return result;
}
