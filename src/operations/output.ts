import * as path from 'node:path';
import type { FormatDescriptor, ModelWriter } from '../core/format.js';
import { MlserError } from '../errors.js';
import { FORMATS, formatById } from '../formats/index.js';

export interface OutputFormat {
  readonly descriptor: FormatDescriptor;
  readonly writer: ModelWriter;
}

/** The format to write: `--to`, else the extension of the output. E_USAGE, E_UNSUPPORTED. */
export async function outputFormat(output: string, to: string | undefined): Promise<OutputFormat> {
  const descriptor = to === undefined ? byExtension(output) : byName(to);
  if (descriptor.writer === undefined)
    throw new MlserError('E_UNSUPPORTED', `${descriptor.title} can be read but not written`, {
      details: { format: descriptor.id },
      hint: `write one of ${writable().join(', ')}`,
    });
  return { descriptor, writer: await descriptor.writer() };
}

const writable = (): string[] => FORMATS.filter((f) => f.writer !== undefined).map((f) => f.id);

function byName(to: string): FormatDescriptor {
  const wanted = to.toLowerCase().replace(/^\./, '');
  const found = formatById(wanted) ?? FORMATS.find((f) => f.extensions.includes(`.${wanted}`));
  if (found) return found;
  throw new MlserError('E_USAGE', `--to ${to}: no such format`, {
    details: { format: to },
    hint: `known formats: ${writable().join(', ')}`,
  });
}

function byExtension(output: string): FormatDescriptor {
  const name = output.toLowerCase().replace(/\.index\.json$/, '');
  if (name.endsWith('/')) return byName('safetensors'); // a Hugging Face folder
  const found = FORMATS.filter((f) => f.extensions.some((extension) => name.endsWith(extension)));
  const [best] = found.sort((a, b) => longest(b, name) - longest(a, name));
  if (best) return best;
  throw new MlserError('E_USAGE', `${output}: the extension names no format`, {
    details: { file: output },
    hint: `name the format with --to: ${writable().join(', ')}`,
  });
}

const longest = (format: FormatDescriptor, name: string): number =>
  Math.max(...format.extensions.filter((e) => name.endsWith(e)).map((e) => e.length));

/**
 * `--weights-file`: the name of a file beside the output. A path is taken if it leads into the same folder, from
 * there or from the working folder. E_USAGE if it leads elsewhere: a graph may only name files beside itself.
 */
export function weightsName(wanted: string | undefined, output: string): string | undefined {
  if (wanted === undefined || path.basename(wanted) === wanted) return wanted;
  const folder = path.resolve(path.dirname(output));
  const name = path.basename(wanted);
  const places = [path.resolve(wanted), path.resolve(folder, wanted)];
  if (name !== '' && places.some((place) => path.dirname(place) === folder)) return name;
  throw new MlserError('E_USAGE', `--weights-file ${wanted}: not in the folder of ${output}`, {
    details: { file: wanted, output },
    hint: `the graph can only name a file beside itself: --weights-file ${name || 'weights.safetensors'}`,
  });
}
