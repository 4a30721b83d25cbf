import type { WorkContext } from '../../core/format.js';
import { finding } from '../../errors.js';
import type { OpenedModel } from '../open.js';
import { exactly, type Override } from './assign.js';
import { layerLosses, withTrials } from './layers.js';
import { type QuantizeOptions, quantizedNames, quantizeOpened } from './quantize.js';
import type { QuantizeReport } from './report.js';

/** Names that a message shows. */
const SHOWN = 5;

/**
 * Quantizes, and if the accuracy sinks by more than was allowed, keeps the most sensitive weights in float: as few of
 * them as suffice, found by halving.
 */
export async function meetAccuracy(
  opened: OpenedModel,
  output: string,
  options: QuantizeOptions & { readonly maxAccuracyDrop: number },
  context: WorkContext,
): Promise<QuantizeReport> {
  const { maxAccuracyDrop } = options;
  const names = await quantizedNames(opened, options, context);
  const kept = await withTrials(opened, options, context, quantizeOpened, async (trial) => {
    const dropOf = async (keep: ReadonlySet<string>): Promise<number> => {
      const report = await trial((name) => names.includes(name) && !keep.has(name), options.scheme);
      const { accuracy } = report.validation;
      return accuracy?.before === undefined ? Number.NaN : accuracy.before - accuracy.after;
    };
    const all = await dropOf(new Set());
    if (Number.isNaN(all) || all <= maxAccuracyDrop) return [];
    const ranked = (await layerLosses(trial, options.scheme, names)).map(({ name }) => name);
    let [few, many] = [0, ranked.length];
    while (many - few > 1) {
      const middle = Math.floor((few + many) / 2);
      if ((await dropOf(new Set(ranked.slice(0, middle)))) <= maxAccuracyDrop) many = middle;
      else few = middle;
    }
    return ranked.slice(0, many);
  });
  const keeping = kept.map((name): Override => ({ pattern: exactly(name), scheme: 'keep', settings: {} }));
  const report = await quantizeOpened(
    opened,
    output,
    { ...options, overrides: [...keeping, ...(options.overrides ?? [])] },
    context,
  );
  if (kept.length === 0) return report;
  const more = kept.length > SHOWN ? ', …' : '';
  const message = `${kept.length} of ${names.length} weights stay in float to keep the accuracy: ${kept.slice(0, SHOWN).join(', ')}${more}`;
  return { ...report, findings: [...report.findings, finding('info', 'KEPT_IN_FLOAT', 'model', message)] };
}
