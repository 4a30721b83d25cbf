import type { PruneReport } from '../../operations/prune/report.js';
import { html } from '../escape.js';
import { percent, size } from '../render/numbers.js';
import { htmlTable, section, tiles } from './page.js';
import { frontierPart } from './quantize.js';

/** How many zeros there are, what they save, and why not more. */
export function prunePart({ prune, frontier }: PruneReport): readonly string[] {
  const { method, scope, asked, sparsity, denseBytes, storedBytes, reason, tensors } = prune;
  return [
    section(
      'Saved',
      tiles([
        ['method', scope === undefined ? method : `${method}, ${scope}`],
        ...(asked === null ? [] : [['asked for', percent(asked)] as const]),
        ['zeros', percent(sparsity)],
        ['weights before', size(denseBytes)],
        ['weights after', storedBytes === null ? 'not known' : size(storedBytes)],
      ]) +
        (reason === undefined ? '' : `<p>${html(reason)}</p>`) +
        htmlTable(
          [
            { title: 'name', code: true },
            { title: 'zeros', right: true },
            { title: 'dense', right: true },
            { title: 'stored', right: true },
            { title: 'rank', right: true },
            { title: 'neighbours along' },
            { title: 'why no less' },
          ],
          tensors.map((one) => [
            one.name,
            percent(one.sparsity),
            size(one.denseBytes),
            one.storedBytes === null ? 'not known' : size(one.storedBytes),
            one.rank ?? '',
            one.axis ?? '',
            one.reason ?? '',
          ]),
        ),
    ),
    ...(frontier && frontier.length > 1 ? [section('Loss of each size', frontierPart(frontier))] : []),
  ];
}
