import type { WorkContext } from '../../core/format.js';
import { type Finding, finding } from '../../errors.js';
import { withoutGraph } from '../drop-graph.js';
import type { OpenContext } from '../open.js';
import type { SpeedReport } from '../quantize/report.js';
import { writeModel } from '../write.js';
import type { PipelineOptions, Whole } from './pipeline.js';
import { withProvenance } from './provenance.js';
import type { PipelineReport } from './report.js';
import type { InOrder } from './steps-in-order.js';

/**
 * Writes the outcome of the last step once more, as that step has written it, with the recipe and what came of it in its
 * metadata, and holds it against the input of the pipeline.
 */
export async function finish(
  { recipe, original, target, format }: Whole,
  { entries, last, written, changes }: InOrder,
  content: () => Promise<string>,
  options: PipelineOptions,
  context: WorkContext & OpenContext,
): Promise<PipelineReport> {
  const { keeps, title } = format.descriptor;
  const {
    maxAccuracyDrop,
    maxSize,
    inputs,
    labels,
    tolerance,
    validate = 'run',
    device = 'cpu',
  } = recipe.gate;
  const findings: Finding[] = [];
  let intended = last.model;
  if (keeps.metadata) {
    intended = withProvenance(last.model, recipe, entries, await content());
  } else
    findings.push(finding('warning', 'RECIPE_NOT_KEPT', 'metadata', `${title} has no place for the recipe`));
  const speedOf = async (): Promise<SpeedReport | undefined> => {
    const { explainSpeed } = await import('../quantize/speed.js');
    const data = inputs === undefined ? {} : { inputs };
    return explainSpeed(original, report.output, { device: 'cpu', ...data }, context);
  };
  const runs = intended.graph !== undefined;
  const report = await writeModel(
    {
      command: 'pipeline',
      opened: [original, last],
      reference: keeps.graph ? original.model : withoutGraph(original.model),
      intended,
      ...changes,
      ...(maxAccuracyDrop === undefined ? {} : { maxAccuracyDrop }),
      ...(maxSize === undefined ? {} : { mostBytes: maxSize }),
      output: target,
      options: {
        ...{ to: format.descriptor.id, validate, device, sync: options.sync ?? true },
        ...(options.force === undefined ? {} : { force: options.force }),
        ...(runs && inputs !== undefined ? { inputs } : {}),
        ...(runs && labels !== undefined ? { labels } : {}),
        ...(tolerance === undefined ? {} : { tolerance }),
      },
      writeOptions: written?.writeOptions ?? {},
      findings,
    },
    context,
  );
  const large = maxSize !== undefined && report.bytesOut > maxSize;
  const passed = report.validation.passed && !large;
  const { accuracy } = report.validation;
  const speed = passed && runs && validate === 'run' ? await speedOf() : undefined;
  return {
    ...report,
    command: 'pipeline',
    recipe: { file: recipe.file, ...(recipe.name === undefined ? {} : { name: recipe.name }) },
    steps: entries,
    ...(passed ? {} : { failedStep: 0 }),
    ...(speed ? { speed } : {}),
    validation: { ...report.validation, passed },
    findings: [...report.findings, ...(large ? [tooLarge(report.bytesOut, maxSize)] : [])],
    ...(accuracy?.before === undefined ? {} : { accuracyDrop: accuracy.before - accuracy.after }),
  };
}

const tooLarge = (bytes: number, most: number): Finding =>
  finding('error', 'TOO_LARGE', 'output', `the output would have ${bytes} bytes; ${most} were allowed`);
