import type { OptimizeReport } from '../../operations/optimize/report.js';
import { htmlTable, section, tiles } from './page.js';

/** What the passes did, what became of the operators, and what that is worth. */
export function optimizePart({ optimize, speed }: OptimizeReport): readonly string[] {
  const { level, passes, nodesBefore, nodesAfter, ops } = optimize;
  const times: readonly (readonly [string, string])[] = speed
    ? [
        ['latency before', `${speed.beforeMs.toFixed(2)} ms`],
        ['latency after', `${speed.afterMs.toFixed(2)} ms`],
      ]
    : [];
  return [
    section(
      'Passes',
      tiles([
        ['level', level],
        ['nodes before', String(nodesBefore)],
        ['nodes after', String(nodesAfter)],
        ...times,
      ]) +
        htmlTable(
          [
            { title: 'pass', code: true },
            { title: 'rewrites', right: true },
          ],
          passes.map(({ name, rewrites }) => [name, rewrites]),
        ) +
        htmlTable(
          [
            { title: 'operator', code: true },
            { title: 'before', right: true },
            { title: 'after', right: true },
          ],
          Object.entries(ops).map(([name, [before, after]]) => [name, before, after]),
        ),
    ),
  ];
}
