import * as fs from 'node:fs';
import { createRequire, syncBuiltinESMExports } from 'node:module';
import { afterEach } from 'vitest';
import { withModel } from '../../src/operations/open.js';

/** What Node hands to everybody who imports it: calls of this process, its worker threads have their own. */
const real = createRequire(import.meta.url)('node:fs') as typeof fs;
const { openSync, readSync } = real;
const PAGE = 1024;

/** Counts how often each page of a file is read until `stop`. */
export function countReads(file: string): { readonly pages: Uint16Array; stop(): void } {
  const pages = new Uint16Array(Math.ceil(fs.statSync(file).size / PAGE));
  const descriptors = new Set<number>();
  real.openSync = ((...args: Parameters<typeof openSync>) => {
    const fd = openSync(...args);
    if (args[0] === file) descriptors.add(fd);
    else descriptors.delete(fd);
    return fd;
  }) as typeof openSync;
  real.readSync = ((fd: number, into: Uint8Array, offset: number, length: number, position: number) => {
    const got = readSync(fd, into, offset, length, position);
    if (descriptors.has(fd))
      for (let page = Math.ceil(position / PAGE); (page + 1) * PAGE <= position + got; page++)
        pages[page] = (pages[page] ?? 0) + 1;
    return got;
  }) as typeof readSync;
  syncBuiltinESMExports();
  return { pages, stop: restore };
}
function restore(): void {
  Object.assign(real, { openSync, readSync });
  syncBuiltinESMExports();
}
afterEach(restore);

/** How often a page of the second half of each weight is read: on average, to a tenth. */
export const readsOf = (file: string, pages: Uint16Array): Promise<ReadonlyMap<string, number>> =>
  withModel(
    file,
    {},
    async ({ model }) =>
      new Map(
        model.tensors.flatMap(({ info, location, byteLength }): [string, number][] => {
          if (!location || byteLength < 8 * PAGE) return [];
          // Its begin is read with the message around it, by who looks for the next one.
          const [from, to] = [location.offset + byteLength / 2, location.offset + byteLength];
          const own = pages.subarray(Math.ceil(from / PAGE), Math.floor(to / PAGE));
          const all = own.reduce((sum, count) => sum + count, 0);
          return [[info.name, Math.round((all / own.length) * 10) / 10]];
        }),
      ),
  );
