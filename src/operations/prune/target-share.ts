import type { WorkContext } from '../../core/format.js';
import { MlserError } from '../../errors.js';
import type { OpenedModel } from '../open.js';
import { outputFormat } from '../output.js';
import type { PruneModelOptions } from './prune.js';
import type { PruneReport } from './report.js';
import { met, tooSmall } from './target-size.js';
import { type Prune, withTrials } from './trials.js';

/** More than this leaves nothing that could be called the same model. */
const LARGEST_SHARE = 0.95;
/** Halvings: a share is found to 1 in 1,000, finer than channels are. */
const STEPS = 10;
const BIASES = { compensate: 'bias' } as const;

/**
 * Whole channels or blocks go, as few as suffice for `targetSize` bytes. They are ranked once for all shares, so the
 * least share whose file fits is the one that loses least; it is found by halving, over trial files.
 *
 * @throws E_USAGE where the options say how much goes, E_UNSUPPORTED where even the largest share is too large a file.
 */
export async function meetShare(
  opened: OpenedModel,
  output: string,
  options: PruneModelOptions & { readonly targetSize: number },
  context: WorkContext,
  prune: Prune,
): Promise<PruneReport> {
  const { targetSize, ...rest } = options;
  refuseTwice(options);
  const target = (await outputFormat(output, options.to)).descriptor;
  // Sizes are wanted, not speed; and what makes up for channels takes no other room.
  const quick = options.calibration === undefined || options.compensate === 'none' ? {} : BIASES;
  const share = await withTrials(opened, options, context, prune, async (trial) => {
    context.progress.stage('sizes', STEPS + 1);
    const bytesAt = async (sparsity: number): Promise<number> => {
      const report = await trial(
        { sparsity, ...quick, validate: 'none', speed: false },
        target.extensions[0] ?? '',
      );
      context.progress.advance(1);
      return report.bytesOut;
    };
    const least = await bytesAt(LARGEST_SHARE);
    if (least > targetSize) throw tooSmall(targetSize, least, target);
    let [few, many] = [0, LARGEST_SHARE];
    for (let step = 0; step < STEPS; step++) {
      const middle = (few + many) / 2;
      if ((await bytesAt(middle)) <= targetSize) many = middle;
      else few = middle;
    }
    return many;
  });
  const report = await prune(opened, output, { ...rest, sparsity: share, speed: false }, context, targetSize);
  if (options.dryRun || !report.validation.passed) return report;
  if (report.bytesOut > targetSize) throw tooSmall(targetSize, report.bytesOut, target);
  return { ...report, findings: [...report.findings, met(report.bytesOut, targetSize)] };
}

function refuseTwice({ method, sparsity, layers }: PruneModelOptions): void {
  if (sparsity === undefined && layers === undefined) return;
  const what = layers === undefined ? '--sparsity' : '--layers';
  throw new MlserError('E_USAGE', `--target-size and ${what} both say how much goes`, {
    details: { method },
    hint: `leave ${what} out`,
  });
}
