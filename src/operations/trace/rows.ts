import { type Finding, finding } from '../../errors.js';
import type { MadeValue } from '../../graph/made-values.js';
import { dtypeOf } from '../../runtime/values.js';
import { type Acceptance, accepts } from '../../validate/run.js';
import type { OpenedModel } from '../open.js';
import type { Seen } from './compare-values.js';
import type { Matches } from './match.js';
import type { MatchedBy, TracedValue, TraceReport } from './report.js';

/** A line of the report; none for a value that was not seen. */
export function rowOf(
  { name, label, op }: MadeValue,
  seen: Seen | undefined,
  matches: Matches | undefined,
  acceptance: Acceptance,
): TracedValue[] {
  if (!seen) return [];
  const row = {
    ...{ name, node: label, op, dtype: dtypeOf(seen.type), shape: seen.dims, nonFinite: seen.nonFinite },
  };
  const match = matches?.get(name);
  if (!match || !seen.compared) return [row];
  const { maxAbs, maxRel, rmse, cosine, neededTolerance, nonFinite, reason } = seen.compared;
  const counterpart = {
    ...{ name: match.name, by: match.by, maxAbs, maxRel, rmse, cosine, neededTolerance, nonFinite },
    same: reason === undefined && accepts(acceptance, seen.compared),
    ...(reason === undefined ? {} : { reason }),
  };
  return [{ ...row, counterpart }];
}

/** How many values have a counterpart, and by what. */
export function countsOf(rows: readonly TracedValue[]): TraceReport['matched'] {
  const counts: Record<MatchedBy, number> = { name: 0, map: 0, structure: 0, figures: 0 };
  let values = 0;
  for (const { counterpart } of rows)
    if (counterpart) {
      counts[counterpart.by]++;
      values++;
    }
  return { values, of: rows.length, ...counts };
}

/** What the values as a whole say. */
export function remarks(
  { input, model }: OpenedModel,
  rows: readonly TracedValue[],
  unseen: number,
  compared: boolean,
): Finding[] {
  const findings: Finding[] = [];
  if (compared && rows.every(({ counterpart }) => !counterpart))
    findings.push(
      finding(
        'error',
        'NOTHING_MATCHED',
        input,
        'no value has a counterpart in the reference, so nothing was compared: say which belong together with --map',
      ),
    );
  if (unseen > 0)
    findings.push(
      finding('info', 'VALUES_NOT_TRACED', input, `${unseen} values are of types that cannot leave a graph`),
    );
  if ((model.graph?.subgraphs ?? 0) > 0)
    findings.push(
      finding(
        'info',
        'SUBGRAPHS_NOT_TRACED',
        input,
        'values inside sub-graphs (If, Loop, Scan) are not looked at',
      ),
    );
  return findings;
}
