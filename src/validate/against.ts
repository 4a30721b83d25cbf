import type { WorkContext } from '../core/format.js';
import { type Model, tensorMap } from '../core/model.js';
import { type Finding, finding } from '../errors.js';
import { canCast, castTensor } from '../kernels/cast.js';
import { compareTensors } from '../kernels/compare.js';
import { sameDims } from '../runtime/metrics.js';
import { toleranceText } from './difference-text.js';
import type { ValidationReport } from './report.js';
import { checkWeights } from './weights.js';

export interface Against {
  readonly findings: readonly Finding[];
  readonly report: NonNullable<ValidationReport['weights']>;
}

/**
 * Weights next to those of a reference, where there are no two graphs that could be run side by side: the same names
 * and shapes, and values that are equal, or the reference's rounded to the type that they have here. `tolerance`:
 * |a − b| ≤ t + t·|b| everywhere is enough.
 */
export async function checkAgainst(
  model: Model,
  reference: Model,
  tolerance: number | undefined,
  context: WorkContext,
): Promise<Against> {
  const findings: Finding[] = [];
  const own = tensorMap(model);
  const pairs = reference.tensors.flatMap((tensor) => {
    const { name, shape } = tensor.info;
    const other = own.get(name);
    own.delete(name);
    if (!other)
      findings.push(finding('error', 'TENSOR_MISSING', name, 'the reference has it, the model has not'));
    else if (!sameDims(other.info.shape, shape))
      findings.push(
        finding(
          'error',
          'TENSOR_SHAPE_DIFFERS',
          name,
          `[${other.info.shape.join(', ')}], the reference has [${shape.join(', ')}]`,
        ),
      );
    else return [{ name, own: other, reference: tensor }];
    return [];
  });
  for (const name of own.keys())
    findings.push(finding('error', 'TENSOR_UNEXPECTED', name, 'the model has it, the reference has not'));

  if (tolerance === undefined) {
    const tensors = pairs.map(({ own: { info }, reference: tensor }) =>
      info.dtype !== tensor.info.dtype && canCast(tensor.info.dtype, info.dtype)
        ? castTensor(tensor, info.dtype)
        : tensor,
    );
    const request = { written: model, intended: { ...reference, tensors }, source: reference };
    const weights = await checkWeights(request, context);
    return { findings: [...findings, ...weights.findings], report: weights.report };
  }

  const differences = await compareTensors(
    pairs.map((pair) => ({ a: pair.own, b: pair.reference })),
    context,
  );
  pairs.forEach(({ name }, i) => {
    const needed = differences[i]?.neededTolerance ?? 0;
    if (needed > tolerance)
      findings.push(finding('error', 'VALUES_DIFFER', name, toleranceText(needed, tolerance)));
  });
  const equal = differences.filter((difference) => difference.changed === 0).length;
  return { findings, report: { checked: pairs.length, equal, lossy: 0, worst: null } };
}
