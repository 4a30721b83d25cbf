import type { JsonValue } from '../../operations/reports.js';
import { safe } from '../escape.js';
import type { Style } from '../style.js';
import { figureTexts } from './figures.js';
import { percent, size } from './numbers.js';
import { fields } from './table.js';

const isObject = (value: unknown): value is { readonly [key: string]: unknown } =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The steps of the recipe that a model says it was made by (core/provenance.ts), a line for each; empty if it says nothing. */
export function madeBy(stored: JsonValue | undefined, style: Style): string {
  const record = parsed(stored);
  const steps = record?.['steps'];
  if (!record || !Array.isArray(steps)) return '';
  const lines = steps.filter(isObject).map((step, i): [string, string] => {
    const { do: id, bytes, accuracyBefore, accuracyAfter, ...figures } = step;
    const parts = figureTexts(figures);
    if (typeof bytes === 'number') parts.push(size(bytes));
    if (typeof accuracyAfter === 'number')
      parts.push(
        `accuracy ${typeof accuracyBefore === 'number' ? `${percent(accuracyBefore)} → ` : ''}${percent(accuracyAfter)}`,
      );
    return [`${i + 1} ${safe(String(id))}`, parts.join(', ')];
  });
  const { recipe } = record;
  const name = isObject(recipe) && typeof recipe['name'] === 'string' ? `  ${safe(recipe['name'])}\n` : '';
  const table = fields(lines, style, '  ');
  return table === '' ? '' : `${name}${table}\n  ${style.paint.faint('the recipe: mlser pipeline --from')}`;
}

function parsed(stored: JsonValue | undefined): { readonly [key: string]: unknown } | undefined {
  if (typeof stored !== 'string') return undefined;
  try {
    const record: unknown = JSON.parse(stored);
    return isObject(record) ? record : undefined;
  } catch {
    return undefined; // somebody else's
  }
}
