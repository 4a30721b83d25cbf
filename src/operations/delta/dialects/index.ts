import type { OpenedModel } from '../../open.js';
import type { Dialect } from './dialect.js';
import { slimeOverwrite, slimeXor } from './slime.js';
import { trlSparse } from './trl.js';

export type { Dialect, DialectOptions } from './dialect.js';

/** The registry: one line a dialect. README.md describes the layouts. */
export const DIALECTS: readonly Dialect[] = [slimeXor, slimeOverwrite, trlSparse];

export const dialectById = (id: string): Dialect | undefined => DIALECTS.find((dialect) => dialect.id === id);

/** The dialect that a delta is written in; undefined if it is none of these. */
export async function dialectOf(opened: OpenedModel): Promise<Dialect | undefined> {
  for (const dialect of DIALECTS) if (await dialect.recognises(opened)) return dialect;
  return undefined;
}
