import * as fs from 'node:fs';
import { unzipSync } from 'fflate';

/** Arrays of a golden .npz as raw bytes by name; a reader of its own, so that these tests stand on their own. */
export function goldenArrays(url: URL): Map<string, Uint8Array> {
  const members = Object.entries(unzipSync(new Uint8Array(fs.readFileSync(url))));
  return new Map(
    members.map(([name, bytes]) => {
      const header =
        bytes[6] === 1 ? 10 + (bytes[8]! | (bytes[9]! << 8)) : 12 + (bytes[8]! | (bytes[9]! << 8));
      return [name.replace(/\.npy$/, ''), bytes.slice(header)] as const;
    }),
  );
}
