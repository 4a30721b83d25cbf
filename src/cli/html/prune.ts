import type { PrunedTensorEntry, PruneReport } from '../../operations/prune/report.js';
import { html } from '../escape.js';
import { percent, size } from '../render/numbers.js';
import { type HtmlColumn, htmlTable, section, tiles } from './page.js';
import { frontierPart } from './quantize.js';

/** How many zeros there are (or channels, blocks, ranks that are left), what that saves, and why not more. */
export function prunePart({ prune, frontier, findings }: PruneReport): readonly string[] {
  const { method, scope, asked, sparsity, denseBytes, storedBytes, reason, tensors, channels } = prune;
  const found = findings.some(({ code }) => code === 'TARGET_SIZE');
  const left = channels && leftText(channels);
  return [
    section(
      'Saved',
      tiles([
        ['method', scope === undefined ? method : `${method}, ${scope}`],
        ...(asked === null ? [] : [[found ? 'suffices' : 'asked for', percent(asked)] as const]),
        ...(left === undefined
          ? method === 'low-rank'
            ? []
            : [['zeros', percent(sparsity)] as const]
          : [[method === 'layers' ? 'blocks' : 'channels', left] as const]),
        ['weights before', size(denseBytes)],
        ['weights after', storedText(storedBytes)],
      ]) +
        (reason === undefined ? '' : `<p>${html(reason)}</p>`) +
        weightTable(tensors),
    ),
    ...(frontier && frontier.length > 1 ? [section('Loss of each size', frontierPart(frontier))] : []),
  ];
}

interface WeightColumn extends HtmlColumn {
  of(one: PrunedTensorEntry): string | number | undefined;
}

/** Only columns that say something of one weight at least. */
function weightTable(tensors: readonly PrunedTensorEntry[]): string {
  const some = (has: (one: PrunedTensorEntry) => boolean): boolean => tensors.some(has);
  const ranks = some(({ rank }) => rank !== undefined);
  const channels = some((one) => one.channels !== undefined);
  const column = (shown: boolean, one: WeightColumn): readonly WeightColumn[] => (shown ? [one] : []);
  const columns = [
    ...column(true, { title: 'name', code: true, of: ({ name }) => name }),
    ...column(ranks, { title: 'rank', right: true, of: ({ rank }) => rank }),
    ...column(channels, { title: 'left', right: true, of: ({ channels: one }) => one && leftText(one) }),
    ...column(!ranks && !channels, { title: 'zeros', right: true, of: ({ sparsity }) => percent(sparsity) }),
    ...column(true, { title: 'dense', right: true, of: ({ denseBytes }) => size(denseBytes) }),
    ...column(
      some(({ storedBytes }) => storedBytes !== null),
      { title: 'stored', right: true, of: ({ storedBytes }) => storedText(storedBytes) },
    ),
    ...column(
      some(({ axis }) => axis !== undefined),
      { title: 'neighbours along', of: ({ axis }) => axis },
    ),
    ...column(
      some(({ reason }) => reason !== undefined),
      { title: channels ? 'why not' : 'why no less', of: ({ reason }) => reason },
    ),
  ];
  return htmlTable(
    columns,
    tensors.map((one) => columns.map(({ of }) => of(one) ?? '')),
  );
}

const leftText = ({ before, after }: { readonly before: number; readonly after: number }): string =>
  `${before} → ${after}`;
const storedText = (bytes: number | null): string => (bytes === null ? 'not known' : size(bytes));
