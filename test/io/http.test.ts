import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BLOCK_BYTES, httpFiles, openHttp } from '../../src/io/http.js';
import { type RangeServer, rangeServer } from '../support/range-server.js';

const FAST = { attempts: 3, pauseMs: 1, timeoutMs: 5_000 };
const bytes = (length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) & 0xff);

let server: RangeServer;
beforeEach(async () => {
  server = await rangeServer();
});
afterEach(() => server.close());

const put = (
  name: string,
  content: Uint8Array,
  about: { etag?: string; modified?: string } = {},
): Uint8Array => {
  server.files.set(name, { bytes: content, ...about });
  return content;
};
const open = (name: string) => openHttp(server.url + name, name, FAST);

describe('http source', () => {
  it.each([
    [0, 0],
    [0, 8],
    [BLOCK_BYTES - 3, 6],
    [BLOCK_BYTES * 2 + 5, BLOCK_BYTES],
    [1, BLOCK_BYTES * 3],
    [10, 5 << 20],
    [(6 << 20) - 1, 1],
  ])('reads %i+%i as they are', async (offset, length) => {
    const content = put('m.bin', bytes(6 << 20));
    const source = await open('m.bin');
    expect(source.size).toBe(content.length);
    const read = await source.read(offset, length);
    expect(Buffer.compare(read, content.subarray(offset, offset + length))).toBe(0);
    expect(source.path).toBeUndefined();
  });

  it('gives copies that the caller may write into', async () => {
    put('m.bin', bytes(100));
    const source = await open('m.bin');
    (await source.read(0, 10)).fill(0);
    expect(await source.read(0, 10)).toEqual(bytes(10));
  });

  it('opens with one request and reads small ranges from blocks', async () => {
    put('m.bin', bytes(3 * BLOCK_BYTES));
    const source = await open('m.bin');
    for (let at = 0; at < 1000; at += 10) await source.read(at, 10);
    expect(server.requests).toHaveLength(1);
    for (let at = 0; at < 1000; at += 10) await source.read(BLOCK_BYTES + at, 10);
    expect(server.requests.map((r) => r.range)).toEqual([
      `bytes=0-${BLOCK_BYTES - 1}`,
      `bytes=${BLOCK_BYTES}-${2 * BLOCK_BYTES - 1}`,
    ]);
  });

  it('reads ahead in a stream and asks for nothing twice', async () => {
    const content = put('m.bin', bytes(8 << 20));
    const source = await open('m.bin');
    for (let at = 0; at < content.length; at += 1 << 20)
      expect(Buffer.compare(await source.read(at, 1 << 20), content.subarray(at, at + (1 << 20)))).toBe(0);
    const ranges = server.requests.map((r) => r.range);
    expect(new Set(ranges).size).toBe(ranges.length);
    expect(ranges).toHaveLength(9);
  });

  it('refuses ranges past the end as a truncated file', async () => {
    put('m.bin', bytes(10));
    await expect((await open('m.bin')).read(5, 6)).rejects.toMatchObject({ code: 'E_TRUNCATED' });
  });

  it('reads an empty file', async () => {
    put('empty', new Uint8Array(0));
    const source = await open('empty');
    expect(source.size).toBe(0);
    await source.assertUnchanged();
  });

  it.each([
    [404, 'E_NOT_FOUND', 1],
    [410, 'E_NOT_FOUND', 1],
    [403, 'E_IO', 1],
    [401, 'E_IO', 1],
    [503, 'E_IO', 3],
    [429, 'E_IO', 3],
  ])('HTTP %i is %s after %i requests', async (status, code, requests) => {
    server.intercept = (_, response) => {
      response.writeHead(status).end();
      return true;
    };
    await expect(open('m.bin')).rejects.toMatchObject({ code });
    expect(server.requests).toHaveLength(requests);
  });

  it('tries again after a 5xx and a broken connection', async () => {
    const content = put('m.bin', bytes(1000));
    server.intercept = (request, response) => {
      if (server.requests.length === 1) response.writeHead(502).end();
      else if (server.requests.length === 2) request.socket.destroy();
      else return false;
      return true;
    };
    expect(await (await open('m.bin')).read(0, 1000)).toEqual(content);
    expect(server.requests).toHaveLength(3);
  });

  it('tries again when an answer ends early, and then says so', async () => {
    server.intercept = (_, response) => {
      response.writeHead(206, { 'content-range': 'bytes 0-9/10' }).end(new Uint8Array(4));
      return true;
    };
    await expect(open('m.bin')).rejects.toMatchObject({
      code: 'E_IO',
      message: expect.stringContaining('6 bytes early'),
    });
    expect(server.requests).toHaveLength(3);
  });

  it('says when nobody answers', async () => {
    const { url } = server;
    await server.close();
    await expect(openHttp(`${url}m.bin`, 'm.bin', FAST)).rejects.toMatchObject({
      code: 'E_IO',
      message: expect.stringContaining('ECONNREFUSED'),
    });
    server = await rangeServer();
  });

  it('refuses a server that ignores ranges, without reading the file', async () => {
    let sent = 0;
    server.intercept = (_, response) => {
      response.writeHead(200, { 'content-length': 1 << 30 });
      const more = (): void => {
        while (!response.destroyed && sent < 1 << 30) {
          sent += 1 << 16;
          if (!response.write(new Uint8Array(1 << 16))) {
            response.once('drain', more);
            return;
          }
        }
      };
      more();
      return true;
    };
    await expect(open('m.bin')).rejects.toMatchObject({ code: 'E_UNSUPPORTED' });
    expect(sent).toBeLessThan(64 << 20);
  });

  it('takes a small file whole from such a server', async () => {
    const content = bytes(500);
    server.intercept = (_, response) => {
      response.writeHead(200, { 'content-length': 500 }).end(content);
      return true;
    };
    const source = await open('m.json');
    expect(await source.read(0, 500)).toEqual(content);
    await source.assertUnchanged();
  });

  it.each([
    ['another range', { 'content-range': 'bytes 1-10/100' }, 10],
    ['a shorter range', { 'content-range': 'bytes 0-9/100' }, 10],
    ['no total', { 'content-range': 'bytes 0-99/*' }, 100],
    ['no range', {}, 100],
    ['more bytes than announced', { 'content-range': 'bytes 0-99/100' }, 150],
    ['compressed data', { 'content-range': 'bytes 0-99/100', 'content-encoding': 'gzip' }, 100],
  ])('refuses an answer with %s', async (_, headers, length) => {
    server.intercept = (__, response) => {
      response.writeHead(206, headers).end(new Uint8Array(length));
      return true;
    };
    await expect(open('m.bin')).rejects.toMatchObject({ code: 'E_UNSUPPORTED' });
  });

  it.each([
    ['its size', bytes(3 * BLOCK_BYTES + 1), {}],
    ['its ETag', bytes(3 * BLOCK_BYTES), { etag: '"2"', modified: 'Mon, 01 Jan 2024 00:00:00 GMT' }],
  ])('notices when the file changes %s', async (_, now, about) => {
    put('m.bin', bytes(3 * BLOCK_BYTES), { etag: '"1"', modified: 'Mon, 01 Jan 2024 00:00:00 GMT' });
    const source = await open('m.bin');
    await source.assertUnchanged();
    put('m.bin', now, about);
    await expect(source.read(BLOCK_BYTES, 10)).rejects.toMatchObject({ code: 'E_CHANGED' });
    await expect(source.assertUnchanged()).rejects.toMatchObject({ code: 'E_CHANGED' });
  });

  it('notices a change by date where tags are weak or absent', async () => {
    put('m.bin', bytes(2 * BLOCK_BYTES), { etag: 'W/"1"', modified: 'Mon, 01 Jan 2024 00:00:00 GMT' });
    const source = await open('m.bin');
    put('m.bin', bytes(2 * BLOCK_BYTES), { etag: 'W/"2"', modified: 'Mon, 01 Jan 2024 00:00:00 GMT' });
    await source.assertUnchanged();
    put('m.bin', bytes(2 * BLOCK_BYTES), { etag: 'W/"2"', modified: 'Tue, 02 Jan 2024 00:00:00 GMT' });
    await expect(source.assertUnchanged()).rejects.toMatchObject({ code: 'E_CHANGED' });
  });

  it('follows redirects, uses their end while it works, and asks again when it expires', async () => {
    const content = put('cdn/signed-1', bytes(3 * BLOCK_BYTES));
    put('cdn/signed-2', content);
    let signed = 'cdn/signed-1';
    server.intercept = (request, response) => {
      if (request.url === '/m.bin') response.writeHead(302, { location: `/${signed}` }).end();
      else if (request.url !== `/${signed}`) response.writeHead(403).end();
      else return false;
      return true;
    };
    const source = await open('m.bin');
    await source.read(BLOCK_BYTES, 8);
    expect(server.requests.map((r) => r.path)).toEqual(['/m.bin', '/cdn/signed-1', '/cdn/signed-1']);
    signed = 'cdn/signed-2';
    expect(await source.read(2 * BLOCK_BYTES, 8)).toEqual(
      content.slice(2 * BLOCK_BYTES, 2 * BLOCK_BYTES + 8),
    );
    expect(source.finalUrl).toBe(`${server.url}cdn/signed-2`);
  });
});

describe('http files', () => {
  it('finds siblings beside the address, with its query', async () => {
    put('org/model/m.index.json', bytes(5));
    put('org/model/a b#1.bin', bytes(7));
    const files = httpFiles(`${server.url}org/model/m.index.json?token=1#x`, FAST);
    expect(files.main).toBe('m.index.json');
    expect(files.folder).toBeUndefined();
    expect((await files.open('a b#1.bin')).size).toBe(7);
    expect(await files.open('a b#1.bin')).toBe(await files.open('a b#1.bin'));
    expect(await files.has(files.main)).toBe(true);
    expect(await files.has('absent')).toBe(false);
    expect(await files.list()).toEqual([]);
    expect(server.requests[0]?.path).toBe('/org/model/a%20b%231.bin?token=1');
    expect(files.opened().map((s) => s.name)).toEqual(['a b#1.bin', 'm.index.json']);
    await files.assertUnchanged();
    await files.close();
  });

  it.each(['../x', '..\\x', '/x', 'C:\\x', 'http://example.org/x/../../y', 'a/../../x', ''])(
    'never asks for %j',
    async (name) => {
      const files = httpFiles(`${server.url}org/m.bin`, FAST);
      await expect(files.open(name)).rejects.toMatchObject({ code: 'E_UNSAFE' });
      expect(server.requests).toEqual([]);
    },
  );

  it('keeps odd names inside the folder', async () => {
    const files = httpFiles(`${server.url}org/m.bin`, FAST);
    for (const name of ['%2e%2e/x', '?x', '#x', 'http:x', '.']) {
      await files.open(name).catch(() => {});
    }
    for (const { path } of server.requests) expect(path.startsWith('/org/')).toBe(true);
  });

  it.each(['http://', 'ftp://x/y', 'http://user:secret@x/y', 'https://x/folder/'])(
    'refuses %s',
    (address) => {
      expect(() => httpFiles(address)).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
      expect(() => httpFiles(address)).not.toThrow(/secret/);
    },
  );
});
