import type { WorkContext } from '../../core/format.js';
import { MlserError } from '../../errors.js';
import type { ActivationRanges } from '../../graph/quantize/types.js';
import type { OpenedModel } from '../open.js';
import type { QuantizeOptions } from './quantize.js';

/** Ranges of the named values over the calibration data. */
export async function calibrate(
  _opened: OpenedModel,
  _names: readonly string[],
  _options: QuantizeOptions,
  _context: WorkContext,
): Promise<ActivationRanges> {
  throw new MlserError('E_UNSUPPORTED', 'calibration is not there yet');
}
