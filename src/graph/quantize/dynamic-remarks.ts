import { type Finding, finding } from '../../errors.js';

/** Names shown of each group; the rest is counted. */
const SHOWN = 3;

/** What a pass leaves as it is, by the reason: one finding a reason, however many weights it meets. */
export class DynamicRemarks {
  readonly #left = new Map<string, Set<string>>();
  readonly #notes = new Map<string, Finding>();

  /** A weight stays as it is. `why` ends a sentence that begins with "they". */
  left(name: string, why: string): void {
    const names = this.#left.get(why);
    if (names) names.add(name);
    else this.#left.set(why, new Set([name]));
  }

  note(severity: Finding['severity'], code: string, message: string): void {
    if (!this.#notes.has(code)) this.#notes.set(code, finding(severity, code, 'graph', message));
  }

  findings(): readonly Finding[] {
    const left = [...this.#left].map(([why, names]) => {
      const shown = [...names].slice(0, SHOWN).join(', ');
      const more = names.size > SHOWN ? `, … (${names.size})` : '';
      return finding('info', 'NOT_QUANTIZED', 'graph', `these stay, for they ${why}: ${shown}${more}`);
    });
    return [...this.#notes.values(), ...left];
  }
}
