import { availableParallelism } from 'node:os';
import type { WorkContext } from '../core/format.js';
import type { Finding, MlserError } from '../errors.js';
import type { BaseOptions } from '../operations/base.js';
import { ascii } from './escape.js';
import type { CliIo } from './io.js';
import { printJson } from './json.js';
import { keyOf } from './key.js';
import type { WorkOptions } from './options.js';
import { createProgress, type ShownProgress } from './progress.js';
import { colorLevel, type Style, styleFor } from './style.js';

/** Bytes in flight unless `--max-memory` says otherwise. */
const MAX_MEMORY = 128 * 1024 * 1024;

/** One run of a verb: where it prints, how it looks, what its work is given. */
export interface Session {
  readonly io: CliIo;
  readonly json: boolean;
  readonly quiet: boolean;
  readonly context: WorkContext & BaseOptions;
  readonly progress: ShownProgress;
  /** The one JSON document of this run, or the text of a report for a person. */
  print(report: unknown, render: (style: Style) => string | Promise<string>): Promise<void>;
  /** Findings on stderr, for verbs whose stdout is something else. Nothing with --json, whose report has them. */
  warn(findings: readonly Finding[]): Promise<void>;
  /** A failure that does not end the run. */
  fail(error: MlserError): Promise<void>;
}

/** What signals need to reach: set while a verb runs. */
export const running: { progress?: ShownProgress; printed: boolean; json: boolean; ended: boolean } = {
  printed: false,
  json: false,
  ended: false,
};

export function openSession(io: CliIo, options: WorkOptions, signal: AbortSignal): Session {
  const json = options.json ?? false;
  const quiet = options.quiet ?? false;
  const progress = createProgress(io, {
    wanted: !json && !quiet,
    color: colorLevel(io.err, io.env, options.color) !== 'none',
  });
  running.progress = progress;
  return {
    io,
    json,
    quiet,
    progress,
    context: {
      threads: options.threads ?? availableParallelism(),
      maxMemory: options.maxMemory ?? MAX_MEMORY,
      progress,
      signal,
      ...(options.base ? { bases: options.base } : {}),
      ...keyOf(options.keyFile, io.env),
    },
    async print(report, render) {
      progress.stop();
      running.printed = true;
      if (json) printJson(io.out, report);
      else {
        const style = await styleFor(io.out, io.env, options.color);
        const text = await render(style);
        io.out.write(style.unicode ? text : ascii(text));
      }
    },
    async warn(findings) {
      if (json || quiet) return;
      progress.stop();
      const style = await styleFor(io.err, io.env, options.color);
      const { findingLines } = await import('./render/findings.js');
      const lines = findingLines(
        findings.filter((finding) => finding.severity !== 'info'),
        style,
      );
      for (const line of lines) io.err.write(`${line.trimStart()}\n`);
    },
    async fail(error) {
      progress.stop();
      const { renderError } = await import('./render/error.js');
      io.err.write(renderError(error, await styleFor(io.err, io.env, options.color)));
    },
  };
}
