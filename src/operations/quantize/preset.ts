import * as path from 'node:path';
import type { WorkContext } from '../../core/format.js';
import { type Finding, finding, isMlserError, MlserError } from '../../errors.js';
import { isSameFile, makeFolder } from '../../io/disk.js';
import { checkTarget, resolveTarget } from '../../io/target.js';
import { inputBytes, type OpenContext, type OpenedModel, withModel } from '../open.js';
import type { WriteReport } from '../reports.js';
import { writeModel } from '../write.js';
import { twinEntry } from './preset-twin.js';
import { type QuantizeOptions, quantizeOpened, refuseQuantized, writeOptionsOf } from './quantize.js';
import type { PresetReport, QuantizeReport, VariantEntry } from './report.js';
import { sideBySide } from './side-by-side.js';
import {
  CHUNK_BYTES,
  chunksOf,
  graphFolder,
  type NamedVariant,
  stemFor,
  variantsFor,
  whySigned,
} from './transformers-js.js';

export interface PresetOptions
  extends Omit<QuantizeOptions, 'scheme' | 'overrides' | 'targetSize' | 'only' | 'dataFiles' | 'to'> {
  readonly preset: 'transformers.js';
  /** Bytes of a file with external data. */
  readonly shardSize?: number;
}

/** What is about one variant; everything else ends the run. */
const OF_A_VARIANT: ReadonlySet<string> = new Set(['E_RUNTIME', 'E_UNSUPPORTED', 'E_LIMIT', 'E_VALIDATION']);

/**
 * Writes every variant of a model that a client loads. The model is opened once, read once for all, and run once; a variant
 * that fails stops no other, and what two variants have in common is made once.
 */
export const quantizePreset = (
  input: string,
  folder: string,
  options: PresetOptions,
  context: WorkContext & OpenContext,
): Promise<PresetReport> =>
  withModel(input, context, async (opened) => {
    const started = performance.now();
    const { graph } = opened.model;
    if (!graph)
      throw new MlserError('E_UNSUPPORTED', `${input} has no graph, which transformers.js needs`, {
        details: { input },
        hint: 'export it to ONNX first',
      });
    refuseQuantized(opened.model, { ...options, scheme: options.preset });
    const home = graphFolder(folder);
    const stem = stemFor(opened.files.main, opened.files.folder);
    const variants = variantsFor(graph).map((variant) => ({
      ...variant,
      file: `${stem}${variant.suffix}.onnx`,
    }));
    refuseExisting(
      opened,
      variants.map(({ file }) => path.join(home, file)),
      options,
    );
    const made = options.dryRun ? [] : [folder, home].map((one) => makeFolder(one));
    try {
      const entries: VariantEntry[] = [];
      const own = variants.filter((variant, i) => variants.findIndex((one) => isTwin(one, variant)) === i);
      const written = await sideBySide(
        own,
        (variant, beside, work) => entryOf(opened, home, variant, { ...options, beside }, work),
        { ...options, keeps: own.some((variant) => staysSource(opened, home, variant)) },
        context,
      );
      for (const variant of variants) {
        const entry = written.get(variant);
        const twin = written.get(own.find((other) => isTwin(other, variant)) ?? variant);
        if (entry) entries.push(entry);
        else if (twin) entries.push(await twinEntry(twin, home, variant, options, context));
      }
      return {
        command: 'quantize',
        preset: options.preset,
        input,
        output: home,
        ...(options.dryRun ? { dryRun: true } : {}),
        bytesIn: inputBytes(opened),
        variants: entries,
        externalData: dataOf(entries),
        findings: [whySigned(graph, `${stem}_quantized.onnx`)],
        seconds: (performance.now() - started) / 1000,
      };
    } finally {
      for (const unmake of made.reverse()) unmake();
    }
  });

/** They have all but their names in common. */
const isTwin = (a: NamedVariant, b: NamedVariant): boolean =>
  a.scheme === b.scheme && JSON.stringify(a.settings) === JSON.stringify(b.settings);

const pathOf = ({ files }: OpenedModel): string | undefined =>
  files.folder === undefined ? undefined : path.join(files.folder, files.main);

/** True where the model is what is to be written: its folder is given its variants. */
const isInput = (opened: OpenedModel, target: string): boolean => {
  const source = pathOf(opened);
  return source !== undefined && isSameFile(source, target);
};

/** The model is this variant already. */
const staysSource = (opened: OpenedModel, home: string, { scheme, file }: NamedVariant): boolean =>
  scheme === undefined && isInput(opened, path.join(home, file));

/** All or none: what stands in the way is told before anything is written. */
function refuseExisting(
  opened: OpenedModel,
  targets: readonly string[],
  { force = false }: PresetOptions,
): void {
  for (const target of targets)
    if (!isInput(opened, target)) checkTarget(resolveTarget(target), target, { force });
}

async function entryOf(
  opened: OpenedModel,
  home: string,
  variant: NamedVariant,
  options: PresetOptions,
  context: WorkContext,
): Promise<VariantEntry> {
  const { dtype, file, scheme = 'none' } = variant;
  const facts = { dtype, file, scheme };
  const target = path.join(home, file);
  if (staysSource(opened, home, variant)) {
    const files = opened.files.opened().map(({ name, size }) => ({ name, bytes: size }));
    return { ...facts, outcome: 'source', files, bytes: inputBytes(opened), findings: misnamed(file, files) };
  }
  try {
    return told(facts, await made(opened, target, variant, options, context));
  } catch (error) {
    if (!isMlserError(error) || !OF_A_VARIANT.has(error.code)) throw error;
    const { code, message } = error;
    const findings = [finding('error', code, file, message)];
    return { ...facts, outcome: 'failed', files: [], bytes: 0, findings };
  }
}

/** One file with its data, through the gate. */
function made(
  opened: OpenedModel,
  target: string,
  { file, scheme, settings, ranged }: NamedVariant,
  options: PresetOptions,
  context: WorkContext,
): Promise<WriteReport | QuantizeReport> {
  const { shardSize = CHUNK_BYTES, preset: _, perChannel, reduceRange, ...rest } = options;
  const dataFiles = chunksOf(file, shardSize);
  if (scheme !== undefined) {
    const ranges = {
      ...(perChannel === undefined ? {} : { perChannel }),
      ...(reduceRange === undefined ? {} : { reduceRange }),
    };
    const own = { ...rest, ...settings, ...(ranged ? ranges : {}), scheme, dataFiles };
    return quantizeOpened(opened, target, own, context);
  }
  const { model } = opened;
  return writeModel(
    {
      ...{ command: 'quantize', opened: [opened], reference: model, intended: model, output: target },
      ...{ options: rest, writeOptions: writeOptionsOf({ ...rest, dataFiles }) },
    },
    context,
  );
}

function told(
  facts: Pick<VariantEntry, 'dtype' | 'file' | 'scheme'>,
  report: WriteReport | QuantizeReport,
): VariantEntry {
  const { validation, files, bytesOut: bytes, findings, dryRun } = report;
  const outputs = validation.run?.outputs ?? [];
  const outcome = dryRun ? 'planned' : validation.passed ? 'written' : 'failed';
  const cosines = outputs.flatMap(({ cosine }) => cosine ?? []);
  const { speed, accuracyDrop } = report as Partial<QuantizeReport>;
  return {
    ...facts,
    outcome,
    files: outcome === 'failed' ? [] : files,
    bytes,
    ...(outputs.length > 0
      ? {
          maxAbs: Math.max(...outputs.map(({ maxAbs }) => maxAbs)),
          cosine: cosines.length === 0 ? null : Math.min(...cosines),
        }
      : {}),
    ...(validation.accuracy ? { accuracy: validation.accuracy.after } : {}),
    ...(accuracyDrop === undefined ? {} : { accuracyDrop }),
    ...(speed ? { beforeMs: speed.beforeMs, afterMs: speed.afterMs } : {}),
    findings,
    validation,
  };
}

/** Data files of the input that the client would look for under other names. */
function misnamed(file: string, files: VariantEntry['files']): readonly Finding[] {
  const data = files.filter(({ name }) => name !== file);
  const { name } = chunksOf(file, CHUNK_BYTES);
  const odd = data.find((_, i) => !data.some((one) => one.name === name(i)));
  if (!odd) return [];
  const message = `${odd.name} is not a name that transformers.js looks for (${name(0)}): write the model into another folder`;
  return [finding('warning', 'DATA_FILE_NAME', odd.name, message)];
}

/** Data files of each graph that has some. */
const dataOf = (entries: readonly VariantEntry[]): Record<string, number> =>
  Object.fromEntries(
    entries.flatMap(({ file, files }): [string, number][] =>
      files.length > 1 ? [[file, files.length - 1]] : [],
    ),
  );
