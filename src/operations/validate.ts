import type { WorkContext } from '../core/format.js';
import { validateModel } from '../validate/gate.js';
import type { ValidationLevel } from '../validate/report.js';
import { withModels } from './open.js';
import type { ValidateReport } from './reports.js';

export interface ValidateOptions {
  readonly level: ValidationLevel;
  readonly device: string;
  /** Another model that must behave the same. */
  readonly reference?: string;
  /** npz of feeds. */
  readonly inputs?: string;
  /** npz of expected outputs. */
  readonly expected?: string;
  readonly labels?: string;
  readonly tolerance?: number;
}

/** The gate alone, on a model that exists. */
export async function validateFile(
  input: string,
  options: ValidateOptions,
  context: WorkContext,
): Promise<ValidateReport> {
  const started = performance.now();
  const names = options.reference === undefined ? [input] : [input, options.reference];
  return withModels(names, context, async ([own, reference]) => {
    if (!own) throw new Error('no input was opened');
    const { level, device, inputs, expected, labels, tolerance } = options;
    const gate = await validateModel({
      model: own.model,
      files: own.files,
      level,
      device,
      ...(reference ? { reference: { model: reference.model, files: reference.files } } : {}),
      ...(inputs === undefined ? {} : { inputs }),
      ...(expected === undefined ? {} : { expected }),
      ...(labels === undefined ? {} : { labels }),
      ...(tolerance === undefined ? {} : { tolerance }),
      context,
    });
    await own.files.assertUnchanged();
    return {
      command: 'validate',
      path: input,
      format: own.model.format,
      passed: gate.report.passed,
      validation: gate.report,
      findings: [...own.model.findings, ...gate.findings],
      seconds: (performance.now() - started) / 1000,
    };
  });
}
