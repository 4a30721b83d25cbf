import { safe } from '../escape.js';
import type { Style } from '../style.js';
import { fitMiddle, padEnd, padStart, textWidth } from './width.js';

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
  /** May be cut in the middle when the terminal is too narrow. */
  readonly flexible?: boolean;
  /** Left out when the terminal is too narrow: bars, which only repeat a number. */
  readonly optional?: boolean;
  readonly paint?: (text: string) => string;
}

const GAP = '  ';
const NARROWEST = 12;

/**
 * Aligned columns, a heading line, two spaces between. Cells are plain text and are escaped here; colour is put on
 * after alignment. Never wider than the terminal while a flexible column can give way.
 */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  style: Style,
  indent = '',
): string {
  const lines = rows.map((row) => row.map(safe));
  const kept = columns.map((column, i) => ({ column, i })).filter(({ column }) => !column.optional);
  const full = draw(columns, lines, style, indent);
  return kept.length === columns.length || full.every((line) => textWidth(line) <= style.width)
    ? full.join('\n')
    : draw(
        kept.map(({ column }) => column),
        lines.map((row) => kept.map(({ i }) => row[i] ?? '')),
        style,
        indent,
      ).join('\n');
}

function draw(
  columns: readonly Column[],
  lines: readonly (readonly string[])[],
  style: Style,
  indent: string,
): string[] {
  const widths = columns.map(({ title }, i) =>
    lines.reduce((max, row) => Math.max(max, textWidth(row[i] ?? '')), textWidth(title)),
  );
  const total = widths.reduce((sum, width) => sum + width, indent.length + GAP.length * (columns.length - 1));
  const flexible = columns.findIndex((column) => column.flexible);
  if (flexible >= 0 && total > style.width) {
    const narrowed = (widths[flexible] ?? 0) - (total - style.width);
    widths[flexible] = Math.max(NARROWEST, narrowed);
  }
  const line = (cells: readonly string[], paint: (text: string, column: Column) => string): string =>
    indent +
    columns
      .map((column, i) => {
        const width = widths[i] ?? 0;
        const text = fitMiddle(cells[i] ?? '', column.flexible ? width : Infinity);
        const last = i === columns.length - 1 && column.align !== 'right';
        const padded = column.align === 'right' ? padStart(text, width) : last ? text : padEnd(text, width);
        return paint(padded, column);
      })
      .join(GAP)
      .trimEnd();
  const titles = columns.map((column) => column.title);
  return [
    ...(titles.some((title) => title !== '') ? [line(titles, (text) => style.paint.faint(text))] : []),
    ...lines.map((row) => line(row, (text, column) => (column.paint ? column.paint(text) : text))),
  ];
}

/** `key  value` lines with the keys in one column. */
export function fields(pairs: readonly (readonly [string, string])[], style: Style, indent = ''): string {
  const width = pairs.reduce((max, [key]) => Math.max(max, textWidth(key)), 0);
  return pairs
    .map(([key, value]) => `${indent}${style.paint.faint(padEnd(key, width))}${GAP}${value}`.trimEnd())
    .join('\n');
}
