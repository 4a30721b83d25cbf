import type { WorkContext } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import { type Finding, finding } from '../../errors.js';
import type { ActivationRange, ActivationRanges } from '../../graph/quantize/types.js';
import { openDisk } from '../../io/disk.js';
import { hashModel } from '../hashes.js';
import type { OpenedModel } from '../open.js';
import { type CacheKey, readCache, writeCache } from './calibration/cache.js';
import { Histogram } from './calibration/histogram.js';
import { rangeOf } from './calibration/methods.js';
import { observe } from './calibration/observe.js';
import type { QuantizeOptions } from './quantize.js';

export interface Calibration {
  readonly ranges: ActivationRanges;
  readonly findings: readonly Finding[];
}

/** What was seen of models in this process, by the path of the samples: trials of a solver ask again and again. */
const remembered = new WeakMap<Model, Map<string, Map<string, Histogram>>>();

/**
 * Ranges of the named values over the calibration data. What a value was seen to be is kept as a histogram, so that
 * memory depends on the number of values, not on that of samples. Values that are not f32 have no range.
 */
export async function calibrate(
  opened: OpenedModel,
  names: readonly string[],
  options: QuantizeOptions,
  context: WorkContext,
): Promise<Calibration> {
  const { calibration: data, calibrationCache: file } = options;
  const key = file === undefined ? undefined : await keyOf(opened, data, context);
  const cache = file !== undefined && key ? await readCache(file, key) : undefined;
  const memory = memoryOf(opened.model, data ?? '');
  const histograms = new Map([...(cache?.histograms ?? []), ...memory]);
  const findings = [...(cache?.findings ?? [])];
  const unseen = names.filter((name) => !histograms.has(name));
  if (unseen.length > 0) {
    const { model, files } = opened;
    const request = { model, files, names: unseen, context, ...(data === undefined ? {} : { data }) };
    await observe(
      request,
      (name, values) => {
        const histogram = histograms.get(name) ?? new Histogram();
        histograms.set(name, histogram);
        histogram.add(values);
      },
      async (window) => {
        // A value that is no f32 is known as such: it is not looked for again.
        for (const name of window) {
          const histogram = histograms.get(name) ?? new Histogram();
          histograms.set(name, histogram);
          memory.set(name, histogram);
        }
        if (file !== undefined && key) await writeCache(file, key, histograms);
      },
    );
  }
  if (data === undefined) findings.push(synthetic(opened.input));
  return chosen(names, histograms, options, findings);
}

function memoryOf(model: Model, data: string): Map<string, Histogram> {
  const byData = remembered.get(model) ?? new Map<string, Map<string, Histogram>>();
  remembered.set(model, byData);
  const found = byData.get(data) ?? new Map<string, Histogram>();
  byData.set(data, found);
  return found;
}

function chosen(
  names: readonly string[],
  histograms: ReadonlyMap<string, Histogram>,
  { method = 'minmax', activationBits = 8 }: QuantizeOptions,
  findings: readonly Finding[],
): Calibration {
  const ranges = new Map<string, ActivationRange>();
  const odd: Finding[] = [];
  for (const name of names) {
    const histogram = histograms.get(name);
    if (!histogram) continue;
    const range = rangeOf(histogram, method, 2 ** activationBits - 1);
    if (range) ranges.set(name, range);
    if (histogram.nonFinite > 0)
      odd.push(
        finding(
          'warning',
          'CALIBRATION_NOT_FINITE',
          name,
          `${histogram.nonFinite} of its values over the calibration data are NaN or infinite`,
        ),
      );
  }
  return { ranges, findings: [...findings, ...odd] };
}

async function keyOf(
  { model, files }: OpenedModel,
  data: string | undefined,
  context: WorkContext,
): Promise<CacheKey> {
  const samples = data === undefined ? undefined : openDisk(data);
  try {
    const sources = [await files.open(files.main), ...(samples ? [samples] : [])];
    const { content, files: digests } = await hashModel(model, context, sources);
    return { model: content, graph: digests[0] ?? '', data: digests[1] ?? '' };
  } finally {
    samples?.close();
  }
}

/** Said in every run, whether the ranges were made now or kept from before. */
const synthetic = (label: string): Finding =>
  finding(
    'warning',
    'CALIBRATION_SYNTHETIC',
    label,
    'ranges come from made-up inputs, so the accuracy on real ones is unknown: give samples with --calibration',
  );
