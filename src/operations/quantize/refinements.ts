import type { WorkContext } from '../../core/format.js';
import { MlserError } from '../../errors.js';
import type { LayerFeeds, Refinement } from '../../graph/quantize/types.js';
import type { OpenedModel } from '../open.js';
import type { QuantizeOptions } from './quantize.js';
import { SCHEMES, schemeById } from './schemes.js';

/** The refinements, and whether they look at what layers are fed with. */
const NEEDS_DATA: Readonly<Record<Refinement, boolean>> = {
  gptq: true,
  awq: true,
  smooth: true,
  hqq: false,
};

export const REFINEMENTS = Object.keys(NEEDS_DATA) as readonly Refinement[];

/** For the help. */
export const REFINEMENT_LIST = 'gptq, awq, smooth (from samples), hqq';

/** @throws E_USAGE where what was asked for has no data to work on, or no scheme that knows it. */
export function checkRefinement(
  { refine, scheme, overrides = [], calibration, symmetric }: QuantizeOptions,
  { model }: OpenedModel,
): void {
  if (refine === undefined) return;
  const schemes = [...scheme.split(','), ...overrides.map((override) => override.scheme)];
  const refuse = (why: string, hint: string): MlserError =>
    new MlserError('E_USAGE', `--refine ${refine} ${why}`, { details: { refine, scheme }, hint });
  if (!schemes.some((id) => schemeById(id)?.refinements?.includes(refine))) {
    const known = SCHEMES.filter(({ refinements }) => refinements?.includes(refine)).map(({ id }) => id);
    throw refuse(`is not for ${scheme}`, `it is for ${known.join(', ')}`);
  }
  if (!model.graph) throw refuse('needs a graph', 'give the model as ONNX');
  if (refine === 'hqq' && symmetric)
    throw refuse('moves zero points, which --symmetric holds', 'leave out one of the two');
  if (NEEDS_DATA[refine] && calibration === undefined)
    throw refuse('needs samples of the inputs', 'give them with --calibration data.npz');
}

/** What layers are fed with, for the refinements that look at it. */
export async function feedsFor(
  { refine, calibration }: QuantizeOptions,
  { files }: OpenedModel,
  context: WorkContext,
): Promise<LayerFeeds | undefined> {
  if (refine === undefined || !NEEDS_DATA[refine] || calibration === undefined) return undefined;
  const { layerFeeds } = await import('./calibration/grams.js');
  return layerFeeds({ files, data: calibration, context });
}
