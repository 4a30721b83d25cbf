import type { Consumer } from './consumers.js';
import type { ChannelGraph } from './graph.js';
import type { ChannelGroup } from './groups.js';
import { numbersOf } from './matrix.js';
import { inputAt, outputAt } from './rule.js';

/** What leaves the mean of a channel as it is. */
const MEAN_KEEPING: ReadonlySet<string> = new Set([
  ...['Identity', 'Dropout', 'Flatten', 'Reshape', 'AveragePool', 'GlobalAveragePool'],
]);
/** Steps from a product back to a norm; a broken graph may run in circles. */
const MOST_STEPS = 16;

/**
 * The means of the channels that a product is fed with, as a BatchNormalization in front says them without any samples: what
 * it gives has the mean β and the deviation γ, and a Relu behind it makes βΦ(β/γ) + γφ(β/γ) of a normal distribution. By
 * unit; undefined where there is no norm, or something in between that shifts means.
 */
export async function meansByNorm(
  graph: ChannelGraph,
  { units, values }: ChannelGroup,
  { node: product }: Pick<Consumer, 'node'>,
): Promise<Float64Array | undefined> {
  let value = inputAt(product, 0) ?? '';
  let rectified = false;
  for (let step = 0; step < MOST_STEPS; step++) {
    const node = graph.producer(value);
    if (!node || (node.domain ?? '') !== '') return undefined;
    if (node.opType === 'BatchNormalization') {
      const member = values.find((one) => one.value === outputAt(node) && one.axis === 1);
      const scale = graph.tensor(inputAt(node, 1) ?? '');
      const shift = graph.tensor(inputAt(node, 2) ?? '');
      if (!member || !scale || !shift) return undefined;
      const [gamma, beta] = [await numbersOf(scale), await numbersOf(shift)];
      const sums = new Float64Array(units);
      const counts = new Float64Array(units);
      member.units.forEach((unit, c) => {
        const [b, g] = [beta[c] ?? 0, Math.abs(gamma[c] ?? 0)];
        sums[unit] = (sums[unit] ?? 0) + (rectified ? rectifiedMean(b, g) : b);
        counts[unit] = (counts[unit] ?? 0) + 1;
      });
      return sums.map((sum, unit) => sum / (counts[unit] || 1));
    }
    if (node.opType === 'Relu' && !rectified) rectified = true;
    // What was averaged before it is rectified is spread less than the norm says.
    else if (!MEAN_KEEPING.has(node.opType ?? '') || (rectified && node.opType?.endsWith('Pool')))
      return undefined;
    value = inputAt(node, 0) ?? '';
  }
  return undefined;
}

/** E[max(0, x)] of a normal distribution. */
export function rectifiedMean(mean: number, deviation: number): number {
  if (!(deviation > 0)) return Math.max(0, mean);
  const z = mean / deviation;
  const density = Math.exp(-(z * z) / 2) / Math.sqrt(2 * Math.PI);
  return mean * normalShare(z) + deviation * density;
}

/** Share of a standard normal distribution below z (Abramowitz & Stegun, 26.2.17: within 7.5e-8). */
function normalShare(z: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(z));
  const factors = [0.31938153, -0.356563782, 1.781477937, -1.821255978, 1.330274429];
  const tail =
    (factors.reduceRight((sum, factor) => (sum + factor) * t, 0) * Math.exp(-(z * z) / 2)) /
    Math.sqrt(2 * Math.PI);
  return z >= 0 ? 1 - tail : tail;
}
