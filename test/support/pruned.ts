import type { WorkContext } from '../../src/core/format.js';
import { type PruneModelOptions, pruneModel } from '../../src/operations/prune/prune.js';
import type { PruneReport } from '../../src/operations/prune/report.js';
import { testContext } from './context.js';
import { fixture } from './fixtures.js';

export const CNN = fixture('trained/digits_cnn/model.onnx');
export const RESIDUAL = fixture('prune/residual.onnx');
export const TRANSFORMER = fixture('prune/transformer.onnx');
/** What the digits are tested and calibrated with. */
export const TEST = { inputs: fixture('trained/digits_cnn/test.npz'), labels: 'y' };
export const calibration = fixture('trained/digits_cnn/calib.npz');

/** Prunes into files of a test's folder `at`, by one method, proved by runs unless options say otherwise. */
export const prunesInto =
  (
    at: (name: string) => string,
    method: PruneModelOptions['method'],
    context: WorkContext = testContext(1),
  ) =>
  (input: string, output: string, options: Partial<PruneModelOptions> = {}): Promise<PruneReport> =>
    pruneModel(
      input,
      at(output),
      { method, validate: 'run', device: 'cpu', force: true, ...options },
      context,
    );
