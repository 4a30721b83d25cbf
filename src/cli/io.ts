/** Where the command line reads its surroundings from: replaced in tests. */
export interface CliStream {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

export interface CliIo {
  readonly out: CliStream;
  readonly err: CliStream;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * The real streams. A reader that goes away (`mlser inspect … | head`) is no error: the rest is dropped and the
 * exit code still tells the answer.
 */
export function processIo(): CliIo {
  const quiet = (stream: NodeJS.WriteStream): CliStream => {
    let gone = false;
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      gone = true;
    });
    return {
      write: (text) => gone || stream.write(text),
      get isTTY() {
        return stream.isTTY;
      },
      get columns() {
        return stream.columns;
      },
    };
  };
  return { out: quiet(process.stdout), err: quiet(process.stderr), env: process.env };
}
