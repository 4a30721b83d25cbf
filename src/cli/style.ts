import type { CliIo, CliStream } from './io.js';

type Paint = (text: string) => string;

/** The colours that the reports use, by meaning. Without colour each gives its text back. */
export interface Palette {
  readonly heading: Paint;
  readonly strong: Paint;
  readonly faint: Paint;
  readonly name: Paint;
  readonly number: Paint;
  readonly good: Paint;
  readonly warn: Paint;
  readonly bad: Paint;
}

/** How a report for a person may look on its stream. */
export interface Style {
  readonly paint: Palette;
  /** Block characters and box lines; otherwise ASCII. */
  readonly unicode: boolean;
  /** Columns of the terminal; Infinity when the output is not one, so that nothing is cut off in files and pipes. */
  readonly width: number;
}

const same: Paint = (text) => text;
const PLAIN: Palette = {
  heading: same,
  strong: same,
  faint: same,
  name: same,
  number: same,
  good: same,
  warn: same,
  bad: same,
};

export const PLAIN_STYLE: Style = { paint: PLAIN, unicode: true, width: Infinity };

/**
 * `--color` and `--no-color` win over NO_COLOR (any value but the empty one), which wins over FORCE_COLOR,
 * which wins over what the stream is. chalk itself ignores NO_COLOR, so its level is set here.
 */
export function colorLevel(
  stream: CliStream,
  env: CliIo['env'],
  flag: boolean | undefined,
): 'none' | 'some' | 'forced' {
  if (flag !== undefined) return flag ? 'forced' : 'none';
  if (env['NO_COLOR']) return 'none';
  const force = env['FORCE_COLOR'];
  if (force !== undefined) return force === '0' || force === 'false' ? 'none' : 'forced';
  return stream.isTTY && env['TERM'] !== 'dumb' ? 'some' : 'none';
}

/** True unless the locale or the terminal says that it shows ASCII only. */
export function showsUnicode(env: CliIo['env']): boolean {
  if (env['TERM'] === 'linux' || env['TERM'] === 'dumb') return false;
  const locale = env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'];
  return !locale || /utf-?8/i.test(locale);
}

/** chalk is loaded only when colours are used. */
export async function styleFor(stream: CliStream, env: CliIo['env'], flag?: boolean): Promise<Style> {
  const level = colorLevel(stream, env, flag);
  const width = stream.isTTY && stream.columns ? stream.columns : Infinity;
  const unicode = showsUnicode(env);
  if (level === 'none') return { paint: PLAIN, unicode, width };
  const { Chalk, supportsColor } = await import('chalk');
  const found = supportsColor ? supportsColor.level : 1;
  const chalk = new Chalk({ level: level === 'forced' ? (found === 0 ? 1 : found) : found });
  const paint: Palette = {
    heading: (text) => chalk.bold.cyan(text),
    strong: (text) => chalk.bold(text),
    faint: (text) => chalk.dim(text),
    name: (text) => chalk.cyan(text),
    number: (text) => chalk.yellow(text),
    good: (text) => chalk.green(text),
    warn: (text) => chalk.yellow(text),
    bad: (text) => chalk.red(text),
  };
  return { paint, unicode, width };
}
