import * as fs from 'node:fs';
import * as path from 'node:path';
import { MlserError } from '../errors.js';

const unsafe = (name: string, why: string): MlserError =>
  new MlserError('E_UNSAFE', `refused to open ${JSON.stringify(name)}: ${why}`, {
    details: { file: name },
    hint: 'a model may only name files inside its own folder',
  });

/**
 * Checks a file name that came out of a model file, in POSIX and in Windows syntax on every host:
 * relative, no drive, no `..` part, no NUL, not empty. Pure text; nothing is opened.
 */
export function checkRelativeName(name: string): string {
  if (name === '') throw unsafe(name, 'the name is empty');
  if (name.includes('\0')) throw unsafe(name, 'the name holds a NUL character');
  if (path.posix.isAbsolute(name) || path.win32.isAbsolute(name) || /^[A-Za-z]:/.test(name))
    throw unsafe(name, 'the path is absolute');
  if (name.split(/[\\/]/).includes('..')) throw unsafe(name, 'the path leads out of the folder');
  return name;
}

/**
 * Absolute path of `name` inside `folder`. Symbolic links are followed and their end must lie inside the folder,
 * or beside the real place of the main file (the Hugging Face cache: snapshots link into `blobs/`).
 */
export function resolveInside(folder: string, main: string, name: string): string {
  checkRelativeName(name);
  const file = path.join(folder, name);
  let real: string;
  try {
    real = fs.realpathSync(file);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    throw new MlserError(
      code === 'ENOENT' || code === 'ENOTDIR' ? 'E_NOT_FOUND' : 'E_IO',
      `${name}: cannot be opened (${code})`,
      {
        details: { file: name, errno: code },
        hint: 'the model names this file; put it beside the model',
      },
    );
  }
  const allowed = [fs.realpathSync(folder)];
  try {
    allowed.push(path.dirname(fs.realpathSync(path.join(folder, main))));
  } catch {
    // The main file may not exist yet (staging); then only the folder itself counts.
  }
  if (!allowed.some((home) => real.startsWith(home + path.sep)))
    throw unsafe(name, 'it is a link that leads out of the folder');
  return file;
}
