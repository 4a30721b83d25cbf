import type { Command } from 'commander';
import { MlserError } from '../../errors.js';
import type { PipelineReport } from '../../operations/pipeline/report.js';
import {
  deviceOption,
  levelOption,
  listFlag,
  numberFlag,
  type ReportOptions,
  reportOptions,
  sizeFlag,
  type WorkOptions,
  workOptions,
} from '../options.js';
import { overridesOf, type RecipeFlags } from '../recipe-flags.js';
import { checkWritable, sideFiles, writeSideFiles } from '../report-files.js';
import type { Session } from '../session.js';
import { type Answer, type Cli, examples, given, hasErrors, onAction } from '../verb.js';

interface Options extends WorkOptions, ReportOptions, RecipeFlags {
  readonly from?: string;
  readonly schema?: boolean;
  readonly dryRun?: boolean;
  readonly sync?: boolean;
  readonly work?: string;
  readonly keepWork?: boolean;
  readonly fresh?: boolean;
}

export function pipeline(program: Command, cli: Cli): void {
  const command = program
    .command('pipeline [recipe]')
    .summary('the steps of a recipe, each proved')
    .description(
      'Does the steps of a recipe (JSON: prune, quantize, convert, validate, …), proves each, and keeps the recipe in the output.',
    )
    .option('--from <model>', 'print the recipe that made this model, and do nothing else')
    .option('--schema', 'print the JSON Schema of recipes, for editors, and do nothing else')
    .optionsGroup('Instead of what the recipe says:')
    .option('--input <model>', 'the model')
    .option('--output <model>', 'where the result goes')
    .option('--to <format>', 'output format (default: by the extension)')
    .addOption(listFlag('--set <pointer=value>', 'a value of the recipe: /steps/0/sparsity=0.3 (repeatable)'))
    .addOption(levelOption('--validate <level>').default(undefined))
    .addOption(deviceOption().default(undefined))
    .option('--inputs <feeds.npz>', 'named arrays to run with (default: generated)')
    .option('--labels <name>', 'array of class numbers in the feeds: report accuracy')
    .addOption(numberFlag('--tolerance <t>', 'outputs may differ from those of the input by t + t·|value|'))
    .addOption(
      numberFlag('--max-accuracy-drop <x>', 'the accuracy may sink by so much, from input to output', '0.01'),
    )
    .addOption(sizeFlag('--max-size <size>', 'the output may have so many bytes'))
    .optionsGroup('Work:')
    .option('--work <folder>', 'keeps finished steps (default: a hidden folder beside the output)')
    .option('--keep-work', 'keep them when all is done, too')
    .option('--fresh', 'do again what an earlier run has finished')
    .option('--dry-run', 'show the plan, write nothing')
    .option('--no-sync', 'do not wait for the disk (as cp; a power cut may then lose the output)')
    .optionsGroup('Options:');
  onAction<Options>(cli, workOptions(reportOptions(command)), run);
  examples(
    command,
    'mlser pipeline edge.json --dry-run',
    'mlser pipeline edge.json --set /steps/0/sparsity=0.2 --output small.onnx',
  );
}

async function run(session: Session, [recipe]: readonly string[], options: Options): Promise<Answer> {
  if (options.from !== undefined) return printRecipe(session, options.from, recipe);
  if (options.schema) return printSchema(session);
  if (recipe === undefined)
    throw new MlserError('E_USAGE', 'a recipe is missing', {
      hint: 'name a JSON file: mlser pipeline recipe.json',
    });
  const files = sideFiles(options);
  checkWritable(
    files.map((file) => file.path),
    { force: options.force, models: [recipe] },
  );
  const { readRecipe } = await import('../../operations/pipeline/recipe.js');
  const { pipeline: work } = await import('../../operations/pipeline/pipeline.js');
  const report = await work(
    await readRecipe(recipe, overridesOf(recipe, options)),
    given(options, 'force', 'dryRun', 'sync', 'work', 'keepWork', 'fresh'),
    session.context,
  );
  if (session.json || !session.quiet)
    await session.print(report, async (style) =>
      (await import('../render/pipeline.js')).renderPipeline(report, style),
    );
  await session.warn(ofSteps(report));
  await writeSideFiles(files, report, async () => (await import('../html/pipeline.js')).pipelinePage(report));
  return report.validation.passed && !hasErrors(report.findings) ? 0 : 1;
}

/** Findings of the steps say of which. What an earlier run has told is not told again. */
function ofSteps({ steps, findings }: PipelineReport): PipelineReport['findings'] {
  const fresh = steps.filter(({ outcome }) => outcome !== 'kept');
  const all = [...fresh.map(({ step, do: id, findings: own }) => [`step ${step} (${id}): `, own] as const)];
  const told = new Set<string>();
  return [...all, ['', findings] as const].flatMap(([of, own]) =>
    own.flatMap((finding) => {
      const key = `${finding.code} ${finding.subject} ${finding.message}`;
      if (told.has(key)) return []; // what a reader notices it notices of every outcome
      told.add(key);
      return [{ ...finding, message: of + finding.message }];
    }),
  );
}

async function printSchema(session: Session): Promise<Answer> {
  const { recipeSchema } = await import('../../operations/pipeline/json-schema.js');
  const { jsonText } = await import('../json.js');
  const schema = recipeSchema();
  await session.print(schema, () => jsonText(schema));
  return 0;
}

async function printRecipe(session: Session, model: string, recipe: string | undefined): Promise<Answer> {
  if (recipe !== undefined)
    throw new MlserError('E_USAGE', `--from prints the recipe of ${model}: ${recipe} has no part in it`, {
      hint: 'give one of the two',
    });
  const { recipeOf } = await import('../../operations/pipeline/provenance.js');
  const { metadataToJson } = await import('../../operations/to-json.js');
  const { jsonText } = await import('../json.js');
  const found = metadataToJson(await recipeOf(model, session.context));
  await session.print(found, () => jsonText(found));
  return 0;
}
