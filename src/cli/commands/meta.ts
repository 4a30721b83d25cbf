import type { Command } from 'commander';
import {
  collectPair,
  type WorkOptions,
  type WritingOptions,
  workOptions,
  writingOptions,
} from '../options.js';
import type { Session } from '../session.js';
import { type Answer, type Cli, examples, given, onAction } from '../verb.js';
import { written } from '../written.js';

interface EditOptions extends WritingOptions {
  readonly output?: string;
}

export function meta(program: Command, cli: Cli): void {
  const command = program
    .command('meta')
    .helpCommand(false)
    .summary('read, set and remove metadata')
    .description('Reads and changes the metadata of a model. An edit is proved before it replaces the file.');
  const get = command.command('get <model> [key...]').summary('print metadata, or the value of a key');
  onAction<WorkOptions>(cli, workOptions(get), read);
  const set = command.command('set <model> <key=value...>').summary('set metadata');
  onAction<EditOptions>(cli, editing(set), (session, [model = '', ...pairs], options) => {
    const values = pairs.reduce((all, pair) => collectPair(pair, all), new Map<string, string>());
    return edit(session, model, { set: values }, options);
  });
  const unset = command.command('unset <model> <key...>').summary('remove metadata');
  onAction<EditOptions>(cli, editing(unset), (session, [model = '', ...keys], options) =>
    edit(session, model, { unset: keys }, options),
  );
  examples(
    set,
    'mlser meta set model.safetensors license=mit',
    'mlser meta set model.onnx task=digits --output named.onnx',
  );
  examples(get, 'mlser meta get model.safetensors', 'mlser meta get model.onnx --json');
  examples(
    unset,
    'mlser meta unset model.safetensors arch',
    'mlser meta unset model.safetensors arch --dry-run',
  );
  examples(command, 'mlser meta get model.safetensors', 'mlser meta set model.safetensors license=mit');
}

const editing = (command: Command): Command =>
  writingOptions(command.option('--output <file>', 'write a copy instead of replacing the model'));

async function read(session: Session, [model = '', ...keys]: readonly string[]): Promise<Answer> {
  const { metaGet } = await import('../../operations/meta.js');
  const report = await metaGet(model, keys, session.context);
  await session.print(report, async (style) => {
    const { renderMeta } = await import('../render/validate.js');
    return renderMeta(report, keys, style);
  });
  await session.warn(report.findings);
  return 0;
}

const edit = (
  session: Session,
  model: string,
  change: { set?: ReadonlyMap<string, string>; unset?: readonly string[] },
  options: EditOptions,
): Promise<Answer> =>
  written(session, options, [model], async () => {
    const { metaEdit } = await import('../../operations/meta.js');
    const wanted = {
      ...given(options, 'force', 'dryRun', 'inputs', 'labels', 'tolerance', 'sync'),
      validate: options.validate,
      device: options.device,
    };
    return metaEdit(model, { ...change, ...given(options, 'output') }, wanted, session.context);
  });
