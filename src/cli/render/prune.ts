import type { PrunedTensorEntry, PruneReport, WriteReport } from '../../operations/reports.js';
import { safe } from '../escape.js';
import type { Style } from '../style.js';
import { percent, size } from './numbers.js';
import { fields, table } from './table.js';

export const isPruneReport = (report: WriteReport): report is PruneReport => report.command === 'prune';

/** Lines of tensors that are shown. */
const SHOWN = 12;

/** How many zeros there are, what they save, and why not more. */
export function zerosSection({ prune }: PruneReport, style: Style): string {
  const { sparsity, asked, reason, tensors, denseBytes, storedBytes } = prune;
  const wanted = asked === null ? '' : `, ${percent(asked)} asked for`;
  const pairs: [string, string][] = [
    ['zeros', `${percent(sparsity)} of ${tensors.length} weights${wanted}`],
    ['stored', `${size(denseBytes)} → ${sizeText(storedBytes)}`],
    ...(reason === undefined ? [] : [['no smaller', safe(reason)] as [string, string]]),
  ];
  const told = fields(pairs, style, '  ');
  return tensors.length === 0 ? told : `${told}\n\n${lines(tensors, reason, style)}`;
}

const sizeText = (bytes: number | null): string => (bytes === null ? 'not known' : size(bytes));

function lines(tensors: readonly PrunedTensorEntry[], reason: string | undefined, style: Style): string {
  const largest = [...tensors].sort((a, b) => b.denseBytes - a.denseBytes).slice(0, SHOWN);
  const axes = largest.some(({ axis }) => axis !== undefined);
  const reasons = largest.some((one) => one.reason !== undefined && one.reason !== reason);
  const text = table(
    [
      { title: 'name', flexible: true },
      { title: 'zeros', align: 'right' },
      { title: 'dense', align: 'right' },
      { title: 'stored', align: 'right' },
      ...(axes ? [{ title: 'neighbours along' }] : []),
      ...(reasons ? [{ title: 'why no less', flexible: true }] : []),
    ],
    largest.map((one) => [
      safe(one.name),
      percent(one.sparsity),
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
