import type { Finding } from '../../errors.js';
import { safe, shorten } from '../escape.js';
import type { Style } from '../style.js';

/** Shown one by one; the rest is counted by code. JSON has all of them. */
const SHOWN = 20;

const MARK = { error: 'error', warning: 'warning', info: 'note' } as const;

/** True if the message says what it is about. A short name may be in it by chance. */
const names = ({ message, subject }: Finding): boolean =>
  message.includes(JSON.stringify(subject)) ||
  (message.includes(subject) && (subject.length > 3 || message.startsWith(`${subject} `)));

/** A line per finding, worst first. Empty text if there are none. */
export function findingLines(findings: readonly Finding[], style: Style): string[] {
  const { paint } = style;
  const colour = { error: paint.bad, warning: paint.warn, info: paint.faint };
  const order = (['error', 'warning', 'info'] as const).flatMap((severity) =>
    findings.filter((finding) => finding.severity === severity),
  );
  const lines = order.slice(0, SHOWN).map((finding) => {
    const subject = names(finding) ? '' : `${shorten(safe(finding.subject), 80)}: `;
    const message = shorten(safe(finding.message), 400);
    return `  ${colour[finding.severity](MARK[finding.severity])} ${paint.faint(safe(finding.code))} ${subject}${message}`;
  });
  const rest = new Map<string, number>();
  for (const { code } of order.slice(SHOWN)) rest.set(code, (rest.get(code) ?? 0) + 1);
  for (const [code, times] of rest) lines.push(paint.faint(`  and ${times} more ${safe(code)}`));
  return lines;
}
