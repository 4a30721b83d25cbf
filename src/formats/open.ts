import type { FormatDescriptor } from '../core/format.js';
import { MlserError } from '../errors.js';
import { diskFiles, isFolder, joinPath } from '../io/disk.js';
import type { InputFiles } from '../io/files.js';
import { detectFormat } from './detect.js';
import { FORMATS } from './index.js';
import { isIndexName } from './sharding.js';

export interface OpenedInput {
  readonly files: InputFiles;
  readonly descriptor: FormatDescriptor;
}

/**
 * Opens what the user named: a file, a folder (Hugging Face style), a `*.index.json` or an http(s) address.
 * The caller closes `files`.
 *
 * @throws E_NOT_FOUND, E_IO, E_UNKNOWN_FORMAT, E_UNSUPPORTED (a FIFO, a device, a server without ranges),
 * E_USAGE (a folder with several models, a wrong address).
 */
export async function openInput(input: string): Promise<OpenedInput> {
  const files = await locate(input);
  try {
    return { files, descriptor: await detectFormat(files) };
  } catch (error) {
    await files.close();
    throw error;
  }
}

async function locate(input: string): Promise<InputFiles> {
  if (input === '')
    throw new MlserError('E_USAGE', 'the input is an empty name', { hint: 'name a file, a folder or a URL' });
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(input))
    return input.endsWith('/') ? remoteFolder(input) : (await http())(input);
  if (!isFolder(input)) return diskFiles(input);
  const folder = diskFiles(joinPath(input, HUB_NAMES[0]), input);
  return diskFiles(joinPath(input, pickModel(await folder.list(), input)), input);
}

/**
 * What loaders of the Hub look for in a folder, in their order: one file before shards, so that a folder opens
 * here as it opens there.
 */
export const HUB_NAMES = [
  'model.safetensors',
  'model.safetensors.index.json',
  'pytorch_model.bin',
  'pytorch_model.bin.index.json',
] as const;

/** Files that training leaves beside a model and that are not the model. */
const COMPANIONS =
  /^(training_args|optimizer|scheduler|scaler|rng_state.*|random_states.*)\.(bin|pt|pth|pkl)$/;
/** Parts of a sharded model: their index stands for them. */
const SHARD = /-\d{5}-of-\d{5}\.[a-z]+$/i;

/** The one model among the files of a folder. @throws E_NOT_FOUND, E_USAGE listing the candidates. */
export function pickModel(names: readonly string[], folder: string): string {
  const hub = HUB_NAMES.find((name) => names.includes(name));
  if (hub !== undefined) return hub;
  const extensions = FORMATS.flatMap((format) => format.extensions);
  const isModel = (name: string): boolean =>
    extensions.some((extension) => name.toLowerCase().endsWith(extension)) && !COMPANIONS.test(name);
  const candidates = names.filter((name) => isIndexName(name) || (isModel(name) && !SHARD.test(name)));
  const shards = names.filter((name) => isModel(name) && SHARD.test(name));
  const [only] = candidates;
  if (only !== undefined && candidates.length === 1) return only;
  if (candidates.length > 1)
    throw new MlserError('E_USAGE', `the folder ${folder} holds ${candidates.length} models`, {
      details: { input: folder, candidates: candidates.slice(0, 20) },
      hint: `name one of them: ${candidates.slice(0, 5).join(', ')}${candidates.length > 5 ? ', …' : ''}`,
    });
  if (shards.length > 0)
    throw new MlserError(
      'E_NOT_FOUND',
      `the folder ${folder} holds ${shards.length} shards (${shards[0]}, …) but no *.index.json that says what is where`,
      {
        details: { input: folder, candidates: shards.slice(0, 20) },
        hint: 'download the index too, or name a single shard',
      },
    );
  throw new MlserError('E_NOT_FOUND', `the folder ${folder} holds no model`, {
    details: { input: folder },
    hint: `a model ends in ${extensions.join(', ')} or .index.json`,
  });
}

/** Loaded when an address is opened: node:https alone is a third of the start of `inspect`. */
const http = async () => (await import('../io/http.js')).httpFiles;

/** Over http a folder cannot be listed: the usual names are tried. */
async function remoteFolder(address: string): Promise<InputFiles> {
  const httpFiles = await http();
  for (const name of [...HUB_NAMES, 'model.onnx']) {
    const files = httpFiles(new URL(name, address).href);
    if (await files.has(name)) return files;
    await files.close();
  }
  throw new MlserError('E_NOT_FOUND', `${address}: none of the usual model files is there`, {
    details: { input: address, candidates: [...HUB_NAMES] },
    hint: 'name the file itself: folders cannot be listed over http',
  });
}

/**
 * Where a model goes that is written to `target`: the file itself, or for a folder (an existing one, or a name that
 * ends with a slash) the name by which loaders find it there.
 */
export function outputPath(target: string, descriptor: FormatDescriptor): string {
  if (!/[\\/]$/.test(target) && !isFolder(target)) return target;
  const name = descriptor.id === 'pytorch' ? 'pytorch_model.bin' : `model${descriptor.extensions[0] ?? ''}`;
  return joinPath(target, name);
}
