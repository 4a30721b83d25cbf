import { type Finding, finding, isMlserError } from '../../../errors.js';
import { openDisk } from '../../../io/disk.js';
import { formatJson, isJsonMap, parseJson } from '../../../io/json.js';
import type { JsonTree } from '../../../io/json-reader.js';
import { stageOutput } from '../../../io/staged.js';
import { BINS, Histogram } from './histogram.js';

/** What the histograms were made from: hex digests. They hold for every method. */
export interface CacheKey {
  /** Content id of the model. */
  readonly model: string;
  /** SHA-256 of the file with the graph. */
  readonly graph: string;
  /** SHA-256 of the samples; '' for made-up ones. */
  readonly data: string;
}

const FORMAT = 'mlser-calibration';
const VERSION = 1;

/** Histograms of a file, if they were made from the same model and samples. A finding if they were not. */
export async function readCache(
  file: string,
  key: CacheKey,
): Promise<{ readonly histograms: Map<string, Histogram>; readonly findings: readonly Finding[] }> {
  const bytes = await contents(file);
  if (!bytes) return { histograms: new Map(), findings: [] };
  const ignored = (why: string) => ({
    histograms: new Map<string, Histogram>(),
    findings: [finding('warning', 'CALIBRATION_CACHE_IGNORED', file, `${why}: it is written anew`)],
  });
  try {
    const root = parseJson(bytes, file);
    if (!isJsonMap(root) || root.get('format') !== FORMAT || root.get('version') !== VERSION)
      return ignored('it is no calibration cache of this version');
    const same = (Object.keys(key) as (keyof CacheKey)[]).every((name) => root.get(name) === key[name]);
    if (!same) return ignored('it was made from another model or other samples');
    const values = root.get('values');
    const histograms = new Map<string, Histogram>();
    for (const [name, state] of isJsonMap(values) ? values : []) {
      const found = histogramOf(state);
      if (!found) return ignored(`its histogram of ${JSON.stringify(name)} makes no sense`);
      histograms.set(name, found);
    }
    return { histograms, findings: [] };
  } catch (error) {
    if (!isMlserError(error)) throw error;
    return ignored(error.message);
  }
}

async function contents(file: string): Promise<Uint8Array | undefined> {
  try {
    const source = openDisk(file);
    try {
      return await source.read(0, source.size);
    } finally {
      source.close();
    }
  } catch (error) {
    if (isMlserError(error) && error.code === 'E_NOT_FOUND') return undefined;
    throw error;
  }
}

const isCount = (n: JsonTree | undefined): n is number => Number.isSafeInteger(n) && (n as number) >= 0;

/** undefined for what no histogram can be. */
function histogramOf(state: JsonTree): Histogram | undefined {
  if (!isJsonMap(state)) return undefined;
  const number = (key: string): number | undefined => {
    const found = state.get(key);
    return typeof found === 'number' ? found : undefined;
  };
  const bins = (key: string): readonly number[] | undefined => {
    const found = state.get(key);
    return Array.isArray(found) && found.length <= BINS && found.every(isCount) ? found : undefined;
  };
  const [min, max, exponent] = [number('min'), number('max'), number('exponent')];
  const [count, zeros, nonFinite] = [number('count'), number('zeros'), number('nonFinite')];
  const [positive, negative] = [bins('positive'), bins('negative')];
  if (!isCount(count) || !isCount(zeros) || !isCount(nonFinite) || !positive || !negative) return undefined;
  if (exponent === undefined || !Number.isInteger(exponent) || Math.abs(exponent) > 127) return undefined;
  const total = [...positive, ...negative].reduce((sum, n) => sum + n, zeros);
  if (total !== count) return undefined;
  if (count > 0 && (min === undefined || max === undefined || min > max)) return undefined;
  const ends = { min: min ?? Number.POSITIVE_INFINITY, max: max ?? Number.NEGATIVE_INFINITY };
  return Histogram.from({ ...ends, count, zeros, nonFinite, exponent, positive, negative });
}

/** Replaces the file at once: a run that is killed leaves the old one. */
export async function writeCache(
  file: string,
  key: CacheKey,
  histograms: ReadonlyMap<string, Histogram>,
): Promise<void> {
  const values = new Map([...histograms].map(([name, histogram]) => [name, stateOf(histogram)] as const));
  const root = new Map<string, JsonTree>([
    ['format', FORMAT],
    ['version', VERSION],
    ['model', key.model],
    ['graph', key.graph],
    ['data', key.data],
    ['values', values],
  ]);
  const output = stageOutput(file, { force: true });
  try {
    const sink = await output.create(output.main);
    await sink.append(Buffer.from(`${formatJson(root)}\n`, 'utf8'));
    await output.commit();
  } catch (error) {
    await output.abort();
    throw error;
  }
}

function stateOf({ min, max, count, zeros, nonFinite, exponent, positive, negative }: Histogram): JsonTree {
  const ends: [string, JsonTree][] =
    count > 0
      ? [
          ['min', min],
          ['max', max],
        ]
      : [];
  return new Map<string, JsonTree>([
    ...ends,
    ...Object.entries({ count, zeros, nonFinite, exponent }),
    ['positive', shortened(positive)],
    ['negative', shortened(negative)],
  ]);
}

const shortened = (bins: Float64Array): readonly number[] => [
  ...bins.subarray(0, bins.findLastIndex((n) => n > 0) + 1),
];
