import type { FormatDescriptor } from '../core/format.js';
import { MlserError } from '../errors.js';
import type { InputFiles } from '../io/files.js';
import { FORMATS } from './index.js';
import { looksLike } from './looks-like.js';

/** What `sniff` is shown at most. */
export const HEAD_BYTES = 64 * 1024;

/**
 * The format of the main file, by content. A file that only its extension speaks for goes to the reader of that
 * extension, whose message is specific, unless its bytes are plainly of another kind.
 *
 * @throws E_UNKNOWN_FORMAT saying what the bytes look like and what to do; E_NOT_FOUND, E_IO from opening.
 */
export async function detectFormat(
  files: InputFiles,
  formats: readonly FormatDescriptor[] = FORMATS,
): Promise<FormatDescriptor> {
  const source = await files.open(files.main);
  const head = await source.read(0, Math.min(source.size, HEAD_BYTES));
  const name = files.main;
  const [best] = formats
    .map((format) => ({ format, score: format.sniff(head, name, source.size), named: claims(format, name) }))
    .filter(({ score, named }) => score > 0 || named)
    .sort((a, b) => b.score - a.score || Number(b.named) - Number(a.named));
  if (best && best.score >= 2) return best.format;

  const looks = looksLike(head, source.size);
  if (best && !looks?.sure) return best.format;
  const details = { file: name, size: source.size, ...(looks ? { looksLike: looks.what } : {}) };
  if (looks)
    throw new MlserError(
      'E_UNKNOWN_FORMAT',
      `${name} ${looks.what}${best ? `, although it is named like ${best.format.title}` : ''}`,
      { details, hint: looks.hint },
    );
  throw new MlserError(
    'E_UNKNOWN_FORMAT',
    `${name} is in no format that is known here (it begins with the bytes ${hex(head)})`,
    { details, hint: `known formats: ${formats.map((format) => format.title).join(', ')}` },
  );
}

const claims = (format: FormatDescriptor, name: string): boolean =>
  format.extensions.some((extension) => name.toLowerCase().endsWith(extension));

const hex = (head: Uint8Array): string =>
  Buffer.from(head.subarray(0, 8))
    .toString('hex')
    .replace(/(..)(?!$)/g, '$1 ');
