import * as fs from 'node:fs';
import * as path from 'node:path';
import { MlserError } from '../errors.js';
import { ioError, withIo } from '../io/disk.js';
import { jsonText } from './json.js';

/** A report that a verb writes beside its main output. */
export interface SideFile {
  readonly path: string;
  readonly kind: 'json' | 'html';
}

/** The files of `--html` and `--report`, whose kind is told by the extension. E_USAGE for an unknown one. */
export function sideFiles(options: { html?: string; report?: readonly string[] }): SideFile[] {
  const reports = (options.report ?? []).map((file): SideFile => {
    if (/\.json$/i.test(file)) return { path: file, kind: 'json' };
    if (/\.html?$/i.test(file)) return { path: file, kind: 'html' };
    throw new MlserError('E_USAGE', `--report ${file}: the extension must be .json or .html`, {
      details: { file },
      hint: 'name for example report.json or report.html',
    });
  });
  return options.html === undefined ? reports : [{ path: options.html, kind: 'html' }, ...reports];
}

/**
 * Refuses before any work is done what could not be written after it: an existing file without --force, a folder
 * that is not there, or a path that is one of the models.
 */
export function checkWritable(
  paths: readonly string[],
  options: { force: boolean | undefined; models: readonly string[] },
): void {
  for (const file of paths) {
    const absolute = path.resolve(file);
    if (options.models.some((model) => path.resolve(model) === absolute))
      throw new MlserError('E_USAGE', `${file} is the model itself`, {
        details: { file },
        hint: 'name another file for the report',
      });
    const old = fs.statSync(absolute, { throwIfNoEntry: false });
    if (old?.isDirectory()) throw ioError({ code: 'EISDIR' }, file);
    if (old && !options.force)
      throw new MlserError('E_EXISTS', `${file} exists`, {
        details: { file },
        hint: 'use --force to replace it, or name another file',
      });
    if (!fs.existsSync(path.dirname(absolute))) throw ioError({ code: 'ENOENT' }, path.dirname(file));
  }
}

/** Writes beside, then renames: a report is there whole or not at all. */
export function writeText(file: string, text: string): void {
  const staged = path.join(path.dirname(file), `.${path.basename(file)}.${process.pid}.tmp`);
  try {
    withIo(file, () => fs.writeFileSync(staged, text, { flag: 'wx' }));
    withIo(file, () => fs.renameSync(staged, file));
  } finally {
    fs.rmSync(staged, { force: true });
  }
}

/** Writes every side file; `page` makes the HTML, and is asked only if one is wanted. */
export async function writeSideFiles(
  files: readonly SideFile[],
  report: unknown,
  page: () => Promise<string>,
): Promise<void> {
  for (const { path: file, kind } of files)
    writeText(file, kind === 'json' ? jsonText(report) : await page());
}
