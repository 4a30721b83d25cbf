import type { Command } from 'commander';
import { DTYPES, type DType, isDType } from '../../core/dtype.js';
import { MlserError } from '../../errors.js';
import type { SelectionOptions, WritingOptions } from '../options.js';
import {
  listFlag,
  pairFlag,
  positiveInteger,
  selectionOptions,
  sizeFlag,
  valueFlag,
  writingOptions,
} from '../options.js';
import type { Session } from '../session.js';
import { type Answer, type Cli, examples, given, onAction } from '../verb.js';
import { written } from '../written.js';

interface Options extends WritingOptions, SelectionOptions {
  readonly dtype?: DType;
  readonly shardSize?: number;
  readonly externalData?: boolean;
  readonly weightsFile?: string;
  readonly graph?: string;
  readonly opset?: number;
  readonly rename?: string[];
  readonly prefix?: string;
  readonly metadata?: ReadonlyMap<string, string>;
  readonly compress?: boolean;
  readonly encrypt?: boolean;
  readonly allowLossy?: boolean;
}

export function convert(program: Command, cli: Cli): void {
  const command = program
    .command('convert <input> <output>')
    .summary('turn one format or number type into another')
    .description(
      'Turns a model into another format or number type, and proves the outcome before it appears.',
    )
    .addOption(
      valueFlag('--dtype <type>', 'number type of the float tensors, or of the selected ones', dtype),
    )
    .addOption(sizeFlag('--shard-size <size>', 'split the weights into files of at most this size'))
    .option('--external-data', 'ONNX: weights in a file beside the graph (default: if needed)')
    .option('--no-external-data', 'ONNX: weights inside the graph file')
    .option('--weights-file <name>', 'ONNX: the weights are this safetensors file beside the graph')
    .option('--graph <base.onnx>', 'put the weights into this existing graph, by name')
    .addOption(valueFlag('--opset <n>', 'ONNX: convert the graph to this operator set', positiveInteger))
    .addOption(listFlag('--rename <s/a/b/>', 'substitution on tensor names (repeatable)'))
    .option('--prefix <text>', 'put before every tensor name')
    .addOption(pairFlag('--metadata <key=value>', 'set metadata (repeatable)'))
    .option('--compress', 'npz, mlck: store compressed')
    .option('--encrypt', 'mlck: encrypt with the key of --key-file or MLSER_KEY')
    .option('--allow-lossy', 'accept more loss than rounding');
  onAction<Options>(cli, writingOptions(selectionOptions(command, 're')), run);
  examples(
    command,
    'mlser convert checkpoint.pt weights.safetensors --dtype bf16',
    'mlser convert model.onnx external.onnx --external-data --validate structure',
  );
}

function dtype(text: string): DType {
  const name = text.toLowerCase();
  if (isDType(name)) return name;
  throw new MlserError('E_USAGE', `${JSON.stringify(text)} is not a type`, {
    details: { dtype: text },
    hint: `types: ${DTYPES.filter((known) => known !== 'str').join(' ')}`,
  });
}

const run = (
  session: Session,
  [input = '', output = '']: readonly string[],
  options: Options,
): Promise<Answer> =>
  written(session, options, [input, output], async () => {
    const { convertModel } = await import('../../operations/convert.js');
    const wanted = {
      ...given(options, 'to', 'force', 'dryRun', 'inputs', 'labels', 'tolerance', 'include', 'exclude'),
      ...given(options, 'dtype', 'shardSize', 'externalData', 'weightsFile', 'graph', 'rename', 'prefix'),
      ...given(options, 'opset', 'metadata', 'compress', 'encrypt', 'allowLossy'),
      ...given(options, 'sync'),
      validate: options.validate,
      device: options.device,
    };
    return convertModel(input, output, wanted, session.context);
  });
