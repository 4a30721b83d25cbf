import type { WorkContext } from '../core/format.js';
import type { Model } from '../core/model.js';
import { type Finding, finding, isMlserError } from '../errors.js';
import { isNumeric } from '../kernels/elements.js';
import { statTensors, type TensorStats } from '../kernels/statistics.js';
import { hashTensors } from '../kernels/transfer.js';
import type { ValidationReport } from './report.js';

/** Every tensor can be read to its end, and its values are finite. Bytes that do not match their checksum are an error finding. */
export async function checkReadable(
  model: Model,
  context: WorkContext,
): Promise<{
  readonly report: NonNullable<ValidationReport['weights']>;
  readonly findings: readonly Finding[];
  /** Statistics of the tensors of numbers, by name. */
  readonly figures: ReadonlyMap<string, TensorStats>;
}> {
  const tensors = model.tensors.filter(({ info }) => !model.aliases.has(info.name));
  const numbers = tensors.filter(({ info }) => isNumeric(info.dtype));
  const others = tensors.filter(({ info }) => !isNumeric(info.dtype));
  context.progress.stage(
    'read',
    tensors.reduce((sum, { byteLength }) => sum + byteLength, 0),
  );
  try {
    const stats = await statTensors(numbers, context);
    await hashTensors(others, context);
    const findings = numbers.flatMap(({ info }, i) => {
      const { nan = 0, inf = 0 } = stats[i] ?? {};
      if (nan + inf === 0) return [];
      return [finding('warning', 'NONFINITE_VALUES', info.name, `${nan} NaN and ${inf} infinite values`)];
    });
    const figures = new Map<string, TensorStats>();
    numbers.forEach(({ info }, i) => {
      const found = stats[i];
      if (found) figures.set(info.name, found);
    });
    return { report: report(tensors.length), findings, figures };
  } catch (error) {
    if (!isMlserError(error) || error.code !== 'E_INTEGRITY') throw error;
    const tensor = error.details['tensor'];
    const subject = typeof tensor === 'string' ? tensor : model.format;
    return {
      report: report(0),
      findings: [finding('error', 'CHECKSUM_WRONG', subject, error.message)],
      figures: new Map(),
    };
  }
}

const report = (checked: number): NonNullable<ValidationReport['weights']> => ({
  checked,
  equal: checked,
  lossy: 0,
  worst: null,
});
