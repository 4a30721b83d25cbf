import { safe } from '../escape.js';
import { figure } from './numbers.js';

/** The figures of a step (of a report, or of what a model says of its making) in words. */
export function figureTexts(figures: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(figures).flatMap(([key, value]) => {
    if (typeof value !== 'number') return [safe(String(value))];
    const what = /^(.+)Before$/.exec(key)?.[1];
    const after = what === undefined ? undefined : figures[`${what}After`];
    if (what !== undefined && typeof after === 'number')
      return [`${safe(what)} ${figure(value)} → ${figure(after)}`];
    const pair = /^(.+)After$/.exec(key)?.[1];
    if (pair !== undefined && typeof figures[`${pair}Before`] === 'number') return [];
    return [key === 'worstSqnrDb' ? `worst SQNR ${figure(value)} dB` : `${safe(key)} ${figure(value)}`];
  });
}
