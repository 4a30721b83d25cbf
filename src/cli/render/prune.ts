import type { PrunedTensorEntry, PruneReport } from '../../operations/prune/report.js';
import type { WriteReport } from '../../operations/reports.js';
import { safe } from '../escape.js';
import type { Style } from '../style.js';
import { Notes } from './notes.js';
import { figure, percent, size } from './numbers.js';
import { fields, table } from './table.js';

export const isPruneReport = (report: WriteReport): report is PruneReport => report.command === 'prune';

/** Lines of tensors that are shown. */
const SHOWN = 12;

/** How many zeros there are (or weights that were split), what that saves, and why not more. */
export function zerosSection({ prune, findings }: PruneReport, style: Style): string {
  const { method, sparsity, asked, reason, tensors, denseBytes, storedBytes, channels } = prune;
  const factored = tensors.filter((one) => one.rank !== undefined && one.reason === undefined).length;
  // With --target-size it was a size that was asked for.
  const found = findings.some(({ code }) => code === 'TARGET_SIZE');
  const wanted = asked === null ? '' : `, ${percent(asked)} ${found ? 'suffices' : 'asked for'}`;
  const pairs: [string, string][] = [
    ...(channels
      ? [gonePair(method, channels, tensors, wanted)]
      : [
          method === 'low-rank'
            ? (['split', `${factored} of ${tensors.length} weights`] as [string, string])
            : (['zeros', `${percent(sparsity)} of ${tensors.length} weights${wanted}`] as [string, string]),
        ]),
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

/** Channels or blocks that are gone, of those that could go. */
function gonePair(
  method: string,
  { before, after }: { readonly before: number; readonly after: number },
  tensors: readonly PrunedTensorEntry[],
  wanted: string,
): [string, string] {
  if (method === 'layers') return ['blocks', `${before} → ${after}${wanted}`];
  const free = tensors.filter((one) => one.reason === undefined);
  const sum = (key: 'before' | 'after'): number =>
    free.reduce((all, one) => all + (one.channels?.[key] ?? 0), 0);
  return [
    'channels',
    `${sum('before')} → ${sum('after')} in ${free.length} of ${tensors.length} groups${wanted}`,
  ];
}

const channelText = ({ channels, members }: PrunedTensorEntry): readonly string[] => [
  channels ? `${channels.before} → ${channels.after}` : '',
  String(members?.length ?? 0),
];

const energyText = (energy: number | undefined): string => (energy === undefined ? '' : percent(energy));

const sizeText = (bytes: number | null): string => (bytes === null ? 'not known' : size(bytes));

function lines(tensors: readonly PrunedTensorEntry[], reason: string | undefined, style: Style): string {
  const largest = [...tensors].sort((a, b) => b.denseBytes - a.denseBytes).slice(0, SHOWN);
  const ranks = largest.some(({ rank }) => rank !== undefined);
  const axes = largest.some(({ axis }) => axis !== undefined);
  const reasons = largest.some((one) => one.reason !== undefined && one.reason !== reason);
  const channels = largest.some((one) => one.channels !== undefined);
  const influence = largest.some((one) => one.influence !== undefined);
  const known = largest.some(({ storedBytes }) => storedBytes !== null);
  const notes = new Notes(largest.flatMap((one) => one.reason ?? []));
  const text = table(
    [
      { title: 'name', flexible: true },
      ...(ranks
        ? ([
            { title: 'rank', align: 'right' },
            { title: 'energy', align: 'right' },
          ] as const)
        : channels
          ? ([
              { title: 'left', align: 'right' },
              { title: 'weights', align: 'right' },
            ] as const)
          : ([{ title: 'zeros', align: 'right' }] as const)),
      ...(influence ? ([{ title: 'influence', align: 'right' }] as const) : []),
      { title: 'dense', align: 'right' },
      ...(known ? ([{ title: 'stored', align: 'right' }] as const) : []),
      ...(axes ? [{ title: 'neighbours along' }] : []),
      ...(reasons ? [{ title: channels ? 'why not' : 'why no less', flexible: true }] : []),
    ],
    largest.map((one) => [
      safe(one.name),
      ...(ranks
        ? [String(one.rank ?? ''), energyText(one.energy)]
        : channels
          ? channelText(one)
          : [percent(one.sparsity)]),
      ...(influence ? [one.influence?.toPrecision(3) ?? ''] : []),
      size(one.denseBytes),
      ...(known ? [sizeText(one.storedBytes)] : []),
      ...(axes ? [safe(one.axis ?? '')] : []),
      ...(reasons ? [notes.cell(one.reason ?? '')] : []),
    ]),
    style,
    '  ',
  );
  const more = tensors.length - largest.length;
  const told = reasons ? notes.lines.map((line) => `\n  ${style.paint.faint(safe(line))}`).join('') : '';
  return `${text}${more > 0 ? `\n  … and ${more} smaller` : ''}${told}`;
}
