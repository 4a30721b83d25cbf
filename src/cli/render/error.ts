import { isMlserError, type MlserError } from '../../errors.js';
import { safe, safeLines } from '../escape.js';
import type { Style } from '../style.js';

/** The JSON document of a failure. */
export interface ErrorDocument {
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly details: MlserError['details'];
    readonly hint?: string;
  };
}

export function errorDocument(error: unknown): ErrorDocument {
  if (isMlserError(error)) {
    const { code, message, details, hint } = error;
    return { error: { code, message, details, ...(hint === undefined ? {} : { hint }) } };
  }
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return {
    error: { code: 'E_INTERNAL', message: messageOf(error), details: { stack }, hint: REPORT_IT },
  };
}

const REPORT_IT = 'this is a bug in mlser: please report it with the command and this text';
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** `error: …` and, where there is one, `hint: …`. Only an unknown exception, which is our bug, shows its stack. */
export function renderError(error: unknown, { paint }: Style): string {
  if (isMlserError(error)) {
    const hint = error.hint === undefined ? '' : `${paint.faint('hint:')} ${safe(error.hint)}\n`;
    return `${paint.bad('error:')} ${safe(error.message)}\n${hint}`;
  }
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `${paint.bad('internal error:')} ${safeLines(stack)}\n${paint.faint('hint:')} ${REPORT_IT}\n`;
}

/** 1: the answer is no. 2: it could not be done. */
export const exitCode = (error: unknown): 1 | 2 =>
  isMlserError(error) && error.code === 'E_VALIDATION' ? 1 : 2;
