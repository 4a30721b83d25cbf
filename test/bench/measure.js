// Runs commands interleaved, so that a noisy machine is fair to all, and reports medians of wall time, CPU time and
// the peak resident memory of the largest process (wait4's maxrss, by /usr/bin/time).
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

export const median = (list) => {
  const sorted = [...list].sort((a, b) => a - b);
  const mid = sorted.length >> 1;
  return sorted.length % 2 ? sorted[mid] : (sorted[mid - 1] + sorted[mid]) / 2;
};

/** One run of a shell command: { wall, cpu (seconds), rss (MB) }. Throws with its output if it fails. */
export function once(command, { before } = {}) {
  before?.();
  const stats = path.join(os.tmpdir(), `mlser-time-${process.pid}`);
  const started = process.hrtime.bigint();
  const run = spawnSync('/usr/bin/time', ['-f', '%U %S %M', '-o', stats, 'bash', '-c', command], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  const wall = Number(process.hrtime.bigint() - started) / 1e9;
  if (run.status !== 0)
    throw new Error(`${command}\nexit ${run.status}: ${run.stderr.slice(-800)} ${run.stdout.slice(-400)}`);
  const [user, system, rss] = fs.readFileSync(stats, 'utf8').trim().split(/\s+/).slice(-3).map(Number);
  fs.rmSync(stats);
  return { wall, cpu: user + system, rss: rss / 1024 };
}

/** Medians of `runs` interleaved runs of every command: name → { wall, cpu, rss }. Commands are { name, command, before? }. */
export function compare(commands, runs = 5) {
  const results = new Map(commands.map(({ name }) => [name, []]));
  for (let i = 0; i < runs; i++)
    for (const { name, command, before } of commands) results.get(name).push(once(command, { before }));
  return new Map(
    [...results].map(([name, list]) => [
      name,
      {
        wall: median(list.map((r) => r.wall)),
        cpu: median(list.map((r) => r.cpu)),
        rss: Math.max(...list.map((r) => r.rss)),
      },
    ]),
  );
}
