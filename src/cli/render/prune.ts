import type { PrunedTensorEntry, PruneReport, WriteReport } from '../../operations/reports.js';
import { safe } from '../escape.js';
import type { Style } from '../style.js';
import { figure, percent, size } from './numbers.js';
import { fields, table } from './table.js';

export const isPruneReport = (report: WriteReport): report is PruneReport => report.command === 'prune';

/** Lines of tensors that are shown. */
const SHOWN = 12;

/** How many zeros there are (or weights that were split), what that saves, and why not more. */
export function zerosSection({ prune }: PruneReport, style: Style): string {
  const { method, sparsity, asked, reason, tensors, denseBytes, storedBytes } = prune;
  const factored = tensors.filter((one) => one.rank !== undefined && one.reason === undefined).length;
  const wanted = asked === null ? '' : `, ${percent(asked)} asked for`;
  const pairs: [string, string][] = [
    method === 'low-rank'
      ? ['split', `${factored} of ${tensors.length} weights`]
      : ['zeros', `${percent(sparsity)} of ${tensors.length} weights${wanted}`],
    ['stored', `${size(denseBytes)} → ${sizeText(storedBytes)}`],
    ...(reason === undefined ? [] : [['no smaller', safe(reason)] as [string, string]]),
  ];
  const told = fields(pairs, style, '  ');
  return tensors.length === 0 ? told : `${told}\n\n${lines(tensors, reason, style)}`;
}

/** The sizes that could be had, and how many weights are pruned how far. */
export function levelsSection({ frontier }: PruneReport, style: Style): string {
  if (!frontier || frontier.length < 2) return '';
  return table(
    [{ title: 'size', align: 'right' }, { title: 'loss', align: 'right' }, { title: 'weights' }],
    frontier.map(({ bytes, loss, levels }) => [
      size(bytes),
      figure(loss),
      Object.entries(levels)
        .map(([level, count]) => `${count} at ${safe(level)}`)
        .join(', ') || 'all as they are',
    ]),
    style,
    '  ',
  );
}

const energyText = (energy: number | undefined): string => (energy === undefined ? '' : percent(energy));

const sizeText = (bytes: number | null): string => (bytes === null ? 'not known' : size(bytes));

function lines(tensors: readonly PrunedTensorEntry[], reason: string | undefined, style: Style): string {
  const largest = [...tensors].sort((a, b) => b.denseBytes - a.denseBytes).slice(0, SHOWN);
  const ranks = largest.some(({ rank }) => rank !== undefined);
  const axes = largest.some(({ axis }) => axis !== undefined);
  const reasons = largest.some((one) => one.reason !== undefined && one.reason !== reason);
  const text = table(
    [
      { title: 'name', flexible: true },
      ...(ranks
        ? ([
            { title: 'rank', align: 'right' },
            { title: 'energy', align: 'right' },
          ] as const)
        : ([{ title: 'zeros', align: 'right' }] as const)),
      { title: 'dense', align: 'right' },
      { title: 'stored', align: 'right' },
      ...(axes ? [{ title: 'neighbours along' }] : []),
      ...(reasons ? [{ title: 'why no less', flexible: true }] : []),
    ],
    largest.map((one) => [
      safe(one.name),
      ...(ranks ? [String(one.rank ?? ''), energyText(one.energy)] : [percent(one.sparsity)]),
      size(one.denseBytes),
      sizeText(one.storedBytes),
      ...(axes ? [safe(one.axis ?? '')] : []),
      ...(reasons ? [safe(one.reason ?? '')] : []),
    ]),
    style,
    '  ',
  );
  const more = tensors.length - largest.length;
  return more > 0 ? `${text}\n  … and ${more} smaller` : text;
}
