import { afterEach, expect, it, vi } from 'vitest';
import { withWholeTime } from '../../src/operations/whole-time.js';

afterEach(() => {
  vi.useRealTimers();
});

it('the time of a report is that of all the work, of which writing is a part', async () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  const report = await withWholeTime(async () => {
    vi.advanceTimersByTime(1500);
    return { command: 'quantize', seconds: 0.25 };
  });
  expect(report).toEqual({ command: 'quantize', seconds: 1.5 });
});
