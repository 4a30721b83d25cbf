/**
 * The one error class of the library, and findings.
 *
 * An error says which file, which part, what was found, what was needed and what to do next.
 * An exception that is not a MlserError is a bug of ours and shows its stack.
 */
export type ErrorCode =
  | 'E_UNKNOWN_FORMAT' // no reader recognises the bytes
  | 'E_TRUNCATED' // the file ends before what it declares
  | 'E_MALFORMED' // breaks the rules of its format
  | 'E_LIMIT' // passes a named limit of ours (core/limits.ts)
  | 'E_UNSUPPORTED' // well-formed, but not something we can do
  | 'E_UNSAFE' // pickle reference outside the allow-list, path outside the folder
  | 'E_LOSSY' // would lose something and --allow-lossy was not given
  | 'E_VALIDATION' // the gate said no
  | 'E_INTEGRITY' // bytes do not match their checksum
  | 'E_BASE_MISMATCH' // a delta was given another base than it was made from
  | 'E_DEVICE' // the execution device is absent
  | 'E_RUNTIME' // onnxruntime refused or crashed
  | 'E_USAGE' // the command line is wrong
  | 'E_NOT_FOUND' // a file, tensor or key that was named is not there
  | 'E_EXISTS' // the output exists and --force was not given
  | 'E_IO' // the operating system refused (full disk, permission, …)
  | 'E_CHANGED' // the input changed while it was read
  | 'E_INTERRUPTED';

export type Details = Readonly<
  Record<string, string | number | boolean | null | readonly (string | number)[] | undefined>
>;

export class MlserError extends Error {
  override readonly name = 'MlserError';
  readonly code: ErrorCode;
  readonly details: Details;
  /** What the user can do about it, in the imperative. */
  readonly hint: string | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: { details?: Details; hint?: string; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
    this.hint = options.hint;
  }

  /** The same error with context that only the caller knows (file, tensor); existing details win. */
  with(context: Details): MlserError {
    return new MlserError(this.code, this.message, {
      details: { ...context, ...this.details },
      ...(this.hint === undefined ? {} : { hint: this.hint }),
      cause: this.cause,
    });
  }
}

export const isMlserError = (error: unknown): error is MlserError => error instanceof MlserError;

/** E_MALFORMED, the most frequent one. */
export const malformed = (message: string, details?: Details, hint?: string): MlserError =>
  new MlserError('E_MALFORMED', message, {
    ...(details === undefined ? {} : { details }),
    ...(hint === undefined ? {} : { hint }),
  });

export type Severity = 'info' | 'warning' | 'error';

/** Something a person should know about a model or an operation. Codes are UPPER_SNAKE and stable. */
export interface Finding {
  readonly code: string;
  readonly severity: Severity;
  /** What it is about: a tensor, a file, a metadata key, a node. */
  readonly subject: string;
  readonly message: string;
}

export const finding = (severity: Severity, code: string, subject: string, message: string): Finding => ({
  code,
  severity,
  subject,
  message,
});
