import type { WorkContext } from '../../core/format.js';
import { type OpenContext, withModel } from '../open.js';
import { layerLosses, withTrials } from './layers.js';
import { type QuantizeOptions, quantizedNames, quantizeOpened, withFeeds } from './quantize.js';
import { checkRefinement } from './refinements.js';
import type { SensitivityReport } from './report.js';

/** The loss of every weight when it alone is quantized, ranked: which ones to keep. */
export const sensitivityOf = (
  input: string,
  asked: QuantizeOptions,
  context: WorkContext & OpenContext,
): Promise<SensitivityReport> =>
  withModel(input, context, async (opened) => {
    const started = performance.now();
    const options = withFeeds(asked);
    checkRefinement(options, opened);
    const names = await quantizedNames(opened, options, context);
    context.progress.stage('layers', names.length);
    const layers = await withTrials(opened, options, context, quantizeOpened, (trial) =>
      layerLosses(
        async (selects, scheme) => {
          const report = await trial(selects, scheme);
          context.progress.advance(1);
          return report;
        },
        options.scheme,
        names,
      ),
    );
    return {
      command: 'sensitivity',
      path: input,
      scheme: options.scheme,
      synthetic: options.inputs === undefined,
      layers,
      findings: [],
      seconds: (performance.now() - started) / 1000,
    };
  });
