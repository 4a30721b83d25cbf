import type { Command } from 'commander';
import { provingOptions } from '../options.js';
import type { Session } from '../session.js';
import { type Answer, type Cli, examples, onAction } from '../verb.js';
import { type QuantizeFlags, schemeOptions, wantedOf } from './quantize.js';

export function sensitivity(program: Command, cli: Cli): void {
  const command = program
    .command('sensitivity <input>')
    .summary('what quantizing each weight alone costs')
    .description('Quantizes one weight after the other, runs the graph each time, and ranks what it costs.');
  onAction<QuantizeFlags>(cli, provingOptions(schemeOptions(command)), run);
  examples(
    command,
    'mlser sensitivity model.onnx --scheme int4-weights --inputs test.npz --labels y',
    'mlser sensitivity model.onnx --scheme int8-weights --json',
  );
}

async function run(
  session: Session,
  [input = '']: readonly string[],
  options: QuantizeFlags,
): Promise<Answer> {
  const { sensitivityOf } = await import('../../operations/quantize/sensitivity.js');
  const report = await sensitivityOf(input, await wantedOf(options), session.context);
  await session.print(report, async (style) =>
    (await import('../render/sensitivity.js')).renderSensitivity(report, style),
  );
  await session.warn(report.findings);
  return 0;
}
