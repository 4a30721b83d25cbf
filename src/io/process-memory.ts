import * as fs from 'node:fs';

/**
 * Bytes of this process that are in RAM, now and at most since it began. Linux tells the latter of the process alone
 * (VmHWM of proc_pid_status(5)); getrusage(2) there starts with what the parent had, elsewhere it is all there is.
 */
export function processMemory(): { readonly now: number; readonly peak: number } {
  const now = process.memoryUsage.rss();
  const highest = linuxPeak() ?? process.resourceUsage().maxRSS * 1024;
  return { now, peak: Math.max(now, highest) };
}

function linuxPeak(): number | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    const found = /^VmHWM:\s+(\d+) kB$/m.exec(fs.readFileSync('/proc/self/status', 'latin1'));
    return found ? Number(found[1]) * 1024 : undefined;
  } catch {
    return undefined; // no /proc: a container without it
  }
}
