import type { WorkContext } from '../../core/format.js';
import { joinPath } from '../../io/disk.js';
import type { OpenedModel } from '../open.js';
import type { WriteReport } from '../reports.js';
import { inScratch, withBeside } from '../tried.js';
import type { QuantizeOptions } from './quantize.js';
import type { LayerLoss } from './report.js';

/** Quantizes a model with one choice of weights and measures it; the file goes again. */
export type Trial = (selects: (name: string) => boolean, scheme: string) => Promise<WriteReport>;

/** Runs `work` with a way to try choices. */
export async function withTrials<T>(
  opened: OpenedModel,
  options: QuantizeOptions,
  context: WorkContext,
  quantize: (
    opened: OpenedModel,
    output: string,
    options: QuantizeOptions,
    context: WorkContext,
  ) => Promise<WriteReport>,
  work: (trial: Trial) => Promise<T>,
): Promise<T> {
  const { targetSize: _size, maxAccuracyDrop: _drop, maxError: _error, dryRun: _dry, ...rest } = options;
  const quiet = { ...context, progress: { stage() {}, advance() {} } };
  const always = { sync: false, force: true, validate: 'run', tolerance: Number.MAX_VALUE } as const;
  return withBeside(rest.inputs, context, (beside) =>
    work((selects, scheme) =>
      inScratch('mlser-quantize-', (folder) =>
        quantize(
          opened,
          joinPath(folder, 'trial.onnx'),
          { ...rest, ...always, beside, scheme, only: selects },
          quiet,
        ),
      ),
    ),
  );
}

/** The loss of every weight that the scheme would quantize, when it alone is: the worst first. */
export async function layerLosses(
  trial: Trial,
  scheme: string,
  names: readonly string[],
): Promise<LayerLoss[]> {
  const losses: LayerLoss[] = [];
  for (const name of names) {
    const report = await trial((other) => other === name, scheme);
    const tensor = report.tensors.find((one) => one.name === name);
    const outputs = report.validation.run?.outputs ?? [];
    const accuracy = report.validation.accuracy;
    const worst = outputs.reduce((least, { cosine }) => Math.min(least, cosine ?? 1), 1);
    losses.push({
      ...{ name, scheme, bytesIn: tensor?.bytesIn ?? 0, bytesOut: tensor?.bytesOut ?? 0 },
      weightSqnrDb: tensor?.error?.sqnrDb ?? null,
      cosine: outputs.length === 0 ? null : worst,
      maxAbs: Math.max(0, ...outputs.map(({ maxAbs }) => maxAbs)),
      sqnrDb: sqnrOf(worst),
      ...(accuracy ? { accuracy: accuracy.after } : {}),
      ...(accuracy?.before === undefined ? {} : { accuracyDrop: accuracy.before - accuracy.after }),
    });
  }
  return losses.sort(
    (a, b) =>
      (b.accuracyDrop ?? 0) - (a.accuracyDrop ?? 0) ||
      (a.cosine ?? 1) - (b.cosine ?? 1) ||
      (a.name < b.name ? -1 : 1),
  );
}

/** Signal to noise of an output whose direction is that near: noise is what stands at right angles. */
const sqnrOf = (cosine: number): number | null => {
  const sine = 1 - cosine * cosine;
  return sine <= 0 ? null : -10 * Math.log10(sine);
};

/** How far outputs turn, and ten times the accuracy that is lost. */
export const lossOf = ({ cosine, accuracyDrop }: Pick<LayerLoss, 'cosine' | 'accuracyDrop'>): number =>
  Math.max(0, 1 - (cosine ?? 1)) + 10 * Math.max(0, accuracyDrop ?? 0);
