import * as fs from 'node:fs';
import * as path from 'node:path';
import { withIo } from './disk.js';

/** Reads and removes the one file whose path begins with `prefix` and ends with `suffix`. E_NOT_FOUND. */
export function takeText(prefix: string, suffix: string): string {
  const folder = path.dirname(prefix);
  const start = path.basename(prefix);
  const names = withIo(folder, () => fs.readdirSync(folder));
  const name = names.find((one) => one.startsWith(start) && one.endsWith(suffix)) ?? `${start}${suffix}`;
  const file = path.join(folder, name);
  const text = withIo(file, () => fs.readFileSync(file, 'utf8'));
  fs.rmSync(file, { force: true });
  return text;
}
