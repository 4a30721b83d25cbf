import * as path from 'node:path';
import { crc32Combine, crcMismatch } from '../io/crc32.js';
import { spanBytes } from './pipeline.js';
import type { Program } from './program.js';
import type { Task, TaskResult } from './tasks.js';

/** E_INTEGRITY unless the raw bytes of all ranges together have the sum that their container records. */
export function checkRawCrc(
  program: Program,
  tasks: readonly Task[],
  results: readonly TaskResult[],
  which: 'rawCrc' | 'otherCrc' = 'rawCrc',
): void {
  if (!program.crc32) return;
  const { seed, expect } = program.crc32;
  let crc = seed;
  tasks.forEach(({ start, end }, i) => {
    crc = crc32Combine(crc, results[i]?.[which] ?? 0, spanBytes(program.inBits, start, end));
  });
  if (crc !== expect)
    throw crcMismatch(`tensor ${JSON.stringify(program.tensor)}`, path.basename(program.path), expect, crc);
}
