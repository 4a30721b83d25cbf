import type { WorkContext } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import { finding, MlserError } from '../../errors.js';
import type { GraphScheme, QuantizeSettings } from '../../graph/quantize/types.js';
import type { OpenedModel } from '../open.js';
import type { Calibration } from './calibrate.js';
import type { QuantizeOptions } from './quantize.js';

/** Ranges of the values that a scheme asks for. Undefined: it asks for none, or there is no data that it could do with. */
export async function rangesFor(
  scheme: GraphScheme,
  model: Model,
  opened: OpenedModel,
  options: QuantizeOptions,
  settings: QuantizeSettings,
  context: WorkContext,
): Promise<Calibration | undefined> {
  if (!scheme.activations) return undefined;
  const calibration = options.calibration ?? (scheme.rangesIfData ? options.inputs : undefined);
  if (scheme.rangesIfData && calibration === undefined) return undefined;
  const names = await scheme.activations(model, settings);
  const { calibrate } = await import('./calibrate.js');
  if (!scheme.rangesIfData) return calibrate({ ...opened, model }, names, options, context);
  const data = calibration === undefined ? {} : { calibration };
  try {
    // Every value counts, and what is not finite in f32 is no worse in fewer bits.
    const own = { ...options, ...data, method: 'minmax' as const };
    const { ranges } = await calibrate({ ...opened, model }, names, own, context);
    return { ranges, findings: [] };
  } catch (error) {
    if (!(error instanceof MlserError) || error.code !== 'E_UNSUPPORTED') throw error;
    const why = `values could not be measured (${error.message}): what does not fit is not known`;
    return { ranges: new Map(), findings: [finding('warning', 'NOT_MEASURED', 'graph', why)] };
  }
}
