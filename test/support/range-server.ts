import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Seen {
  readonly path: string;
  readonly range: string | undefined;
}
export interface RangeServer {
  /** `http://127.0.0.1:PORT/`. */
  readonly url: string;
  readonly requests: Seen[];
  /** Files by path without the leading slash; may be changed while the server runs. */
  readonly files: Map<string, { bytes: Uint8Array; etag?: string; modified?: string }>;
  /** Runs before the files are looked up; true if it answered. */
  intercept: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined;
  close(): Promise<void>;
}

/** A small server that knows byte ranges, for tests. */
export async function rangeServer(): Promise<RangeServer> {
  const files: RangeServer['files'] = new Map();
  const requests: Seen[] = [];
  const http = createServer((request, response) => {
    const address = new URL(request.url ?? '/', 'http://x');
    requests.push({ path: address.pathname + address.search, range: request.headers.range });
    if (server.intercept?.(request, response)) return;
    const file = files.get(decodeURIComponent(address.pathname.slice(1)));
    if (!file) {
      response.writeHead(404).end('not here');
      return;
    }
    const { bytes } = file;
    const headers = {
      ...(file.etag ? { etag: file.etag } : {}),
      ...(file.modified ? { 'last-modified': file.modified } : {}),
    };
    const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    const [start, last] = (match ?? []).slice(1).map(Number);
    if (start === undefined || last === undefined) {
      response.writeHead(200, { ...headers, 'content-length': bytes.length }).end(bytes);
    } else if (start >= bytes.length) {
      response.writeHead(416, { ...headers, 'content-range': `bytes */${bytes.length}` }).end();
    } else {
      const end = Math.min(last + 1, bytes.length);
      const range = `bytes ${start}-${end - 1}/${bytes.length}`;
      response
        .writeHead(206, { ...headers, 'content-range': range, 'content-length': end - start })
        .end(bytes.subarray(start, end));
    }
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const server: RangeServer = {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/`,
    requests,
    files,
    intercept: undefined,
    close: () =>
      new Promise((resolve) => {
        http.closeAllConnections();
        http.close(() => resolve());
      }),
  };
  return server;
}
