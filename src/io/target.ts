import * as fs from 'node:fs';
import * as path from 'node:path';
import { MlserError } from '../errors.js';
import { ioError, isSameFile, withIo } from './disk.js';

/** Links followed before we call it a circle (as Linux does). */
const MAX_LINKS = 40;

export const existsError = (
  file: string,
  hint = 'use --force to replace it, or name another output',
): MlserError => new MlserError('E_EXISTS', `${file} exists`, { details: { file }, hint });

/**
 * The file that a target stands for, absolute. A symbolic link stands for the file it points to, there or not: that
 * file is replaced and the link stays valid. (Siblings of a family then lie beside the real file.)
 */
export function resolveTarget(target: string): string {
  let file = path.resolve(target);
  for (let links = 0; links < MAX_LINKS; links++) {
    const found = withIo(target, () => fs.lstatSync(file, { throwIfNoEntry: false }));
    if (!found?.isSymbolicLink()) return file;
    file = path.resolve(path.dirname(file), fs.readlinkSync(file));
  }
  throw ioError({ code: 'ELOOP' }, target);
}

/**
 * Looks at what is at the target before any work: E_EXISTS for a file unless `force`, E_IO for a folder,
 * E_UNSUPPORTED for a device. True if a file is there.
 */
export function checkTarget(
  file: string,
  target: string,
  options: { readonly force: boolean; readonly inputs?: readonly string[] },
): boolean {
  const old = withIo(target, () => fs.statSync(file, { throwIfNoEntry: false, bigint: true }));
  if (!old) return false;
  if (old.isDirectory()) throw ioError({ code: 'EISDIR' }, target);
  if (!old.isFile())
    throw new MlserError('E_UNSUPPORTED', `${target} is not a regular file`, {
      details: { file: target },
      hint: 'outputs are proved and renamed into place: name a regular file',
    });
  if (options.force) return true;
  const isInput = (options.inputs ?? []).some((input) => {
    return isSameFile(input, file);
  });
  if (!isInput) throw existsError(target);
  throw new MlserError('E_EXISTS', `${target} is the input itself`, {
    details: { file: target, input: true },
    hint: 'use --force to replace it once the output is whole and proved, or name another output',
  });
}
