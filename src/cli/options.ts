import { type Command, Option } from 'commander';
import { parseSize, parseTargetSize } from '../core/size.js';
import { isMlserError, MlserError } from '../errors.js';
import type { ValidationLevel } from '../validate/report.js';

/** Options that every verb has. */
export interface GlobalOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly color?: boolean;
}

export interface WorkOptions extends GlobalOptions {
  readonly threads?: number;
  readonly maxMemory?: number;
  /** Where a delta's base may lie. */
  readonly base?: string[];
  /** Opens (and closes) encrypted native checkpoints. */
  readonly keyFile?: string;
}

export interface SelectionOptions {
  readonly include?: RegExp[];
  readonly exclude?: RegExp[];
}

export interface ReportOptions {
  readonly report?: string[];
  readonly force?: boolean;
}

/** Options of every verb that writes a model. */
export interface WritingOptions extends WorkOptions, ReportOptions {
  readonly to?: string;
  readonly validate: ValidationLevel;
  readonly device: string;
  readonly inputs?: string;
  readonly labels?: string;
  readonly tolerance?: number;
  readonly dryRun?: boolean;
  readonly sync?: boolean;
}

const LEVELS = ['none', 'structure', 'weights', 'run'] as const satisfies readonly ValidationLevel[];
const DEVICES = ['auto', 'cpu', 'cuda', 'webgpu', 'dml', 'coreml'] as const;

const usage = (message: string, hint: string): MlserError => new MlserError('E_USAGE', message, { hint });

/** A regular expression on tensor names, added to those given before. */
export function collectRegExp(text: string, before: RegExp[] = []): RegExp[] {
  // Without `u` more is allowed: a backslash before any character, as other tools' patterns have it.
  for (const flags of ['u', ''])
    try {
      return [...before, new RegExp(text, flags)];
    } catch {
      // Told below.
    }
  throw usage(
    `${JSON.stringify(text)} is not a regular expression`,
    'a plain part of the name works; . * + ? ( ) [ ] { } \\ ^ $ | need a backslash before them',
  );
}

export const collect = (text: string, before: string[] = []): string[] => [...before, text];

/** `key=value`, added to those given before; a later one wins. */
export function collectPair(text: string, before: Map<string, string> = new Map()): Map<string, string> {
  const at = text.indexOf('=');
  if (at < 1) throw usage(`${JSON.stringify(text)} is not key=value`, 'write for example license=apache-2.0');
  return new Map([...before, [text.slice(0, at), text.slice(at + 1)]]);
}

export function positiveInteger(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value > 0) return value;
  throw usage(`${JSON.stringify(text)} is not a whole number above 0`, 'write for example 4');
}

export function nonNegative(text: string, example = '1e-4'): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value) && value >= 0) return value;
  throw usage(`${JSON.stringify(text)} is not a number from 0 up`, `write for example ${example}`);
}

/** An option whose complaints about its value name it. */
const option = <T>(flags: string, description: string, parse: (text: string, before: T) => T): Option =>
  new Option(flags, description).argParser<T>((text, before) => {
    try {
      return parse(text, before);
    } catch (error) {
      if (!isMlserError(error)) throw error;
      const { code, message, details, hint } = error;
      const [name = flags] = flags.split(' ');
      throw new MlserError(code, `${name} ${message}`, { details, ...(hint === undefined ? {} : { hint }) });
    }
  });

/** One of a few words, all shown in the help */
function choice<T extends string>(text: string, known: readonly T[]): T {
  const found = known.find((word) => word === text);
  if (found !== undefined) return found;
  throw usage(`${JSON.stringify(text)} is not known`, `use one of ${known.join(', ')}`);
}

export const workOptions = (command: Command): Command =>
  command
    .addOption(option('--threads <n>', 'worker threads (default: one a core)', positiveInteger))
    .addOption(option('--max-memory <size>', 'bytes in flight, as 256M or 1GiB', sizeOption))
    .addOption(
      option('--base <model>', 'what a delta builds on, if it is not beside it (repeatable)', collect),
    )
    .option('--key-file <file>', 'key of encrypted checkpoints (or MLSER_KEY): 32 bytes, or 64 hex digits');

const sizeOption = (text: string): number => parseSize(text);

export const selectionOptions = (command: Command, what: string): Command =>
  command
    .addOption(option('--include <re>', `only tensors whose name matches ${what}`, collectRegExp))
    .addOption(option('--exclude <re>', 'no tensors whose name matches (both repeatable)', collectRegExp));

export const reportOptions = (command: Command): Command =>
  command
    .addOption(option('--report <file>', 'also write the report: .json or .html (repeatable)', collect))
    .option('--force', 'replace existing output files');

export const deviceOption = (): Option =>
  option('--device <name>', `where it runs: ${DEVICES.join(', ')}`, (text) => choice(text, DEVICES)).default(
    'cpu',
  );

export const levelOption = (flags: string, levels: readonly ValidationLevel[] = LEVELS): Option =>
  option(flags, `how much is proved: ${levels.join(', ')}`, (text) => choice(text, levels)).default('run');

/** The options of CLI.md that all writing verbs share, but for the format. */
export const provingOptions = (command: Command): Command =>
  workOptions(
    reportOptions(
      command
        .addOption(levelOption('--validate <level>'))
        .addOption(deviceOption())
        .option('--inputs <feeds.npz>', 'named arrays to run with (default: generated)')
        .option('--labels <name>', 'array of class numbers in the feeds: report accuracy')
        .addOption(
          option('--tolerance <t>', 'outputs may differ by t + t·|value|', (text) => nonNegative(text)),
        )
        .option('--dry-run', 'show the plan, write nothing')
        .option('--no-sync', 'do not wait for the disk (as cp; a power cut may then lose the output)'),
    ),
  );

/** All of them. */
export const writingOptions = (command: Command): Command =>
  provingOptions(command.option('--to <format>', 'output format (default: by the extension)'));

export const sizeFlag = (flags: string, description: string): Option =>
  option(flags, description, sizeOption);
/** A size, or a share of the input: `200KB` or `60%`. */
export const targetSizeFlag = (flags: string, description: string): Option =>
  option(flags, description, (text) => parseTargetSize(text));
/** `example`: a value of the right size, for who wrote none. */
export const numberFlag = (flags: string, description: string, example?: string): Option =>
  option(flags, description, (text) => nonNegative(text, example));
/** A number that is a share: `0.3` or `30%`. */
export const shareFlag = (flags: string, description: string, example?: string): Option =>
  option(flags, description, (text) => {
    const [, hundredths] = /^\s*([\d.]+)\s*%\s*$/.exec(text) ?? [];
    return hundredths === undefined ? nonNegative(text, example) : nonNegative(hundredths, example) / 100;
  });
export const integerFlag = (flags: string, description: string): Option =>
  option(flags, description, positiveInteger);
export const listFlag = (flags: string, description: string): Option => option(flags, description, collect);
/** Words with commas between them, or the option again. */
export const wordsFlag = (flags: string, description: string): Option =>
  option(flags, description, (text, before: string[] = []) => [
    ...before,
    ...text.split(',').flatMap((word) => word.trim() || []),
  ]);
export const patternFlag = (flags: string, description: string): Option =>
  option(flags, description, collectRegExp);
export const pairFlag = (flags: string, description: string): Option =>
  option(flags, description, collectPair);
export const valueFlag = <T>(flags: string, description: string, parse: (text: string) => T): Option =>
  option<T>(flags, description, parse);
export const wordFlag = <T extends string>(flags: string, description: string, known: readonly T[]): Option =>
  option(flags, description, (text) => choice(text, known));
