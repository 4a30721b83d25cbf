import { type Finding, finding, MlserError } from '../../errors.js';

/** A node that cannot be had in the version that was asked for. */
export interface Problem {
  readonly node: string;
  readonly operator: string;
  readonly why: string;
  /** The version whose change is in the way. */
  readonly version: number;
}

const NAMED = 10;

/** The one error that names them all (the first ten). */
export function unconvertible(all: readonly Problem[], from: number, to: number): MlserError {
  // What stands for one node may be stopped more than once.
  const problems = [...new Map([...all].reverse().map((one) => [one.node, one])).values()].reverse();
  const named = problems.slice(0, NAMED).map(({ node, operator, why }) => `${node} (${operator}): ${why}`);
  const more = problems.length > NAMED ? `; and ${problems.length - NAMED} more` : '';
  const count = problems.length === 1 ? '1 node stays' : `${problems.length} nodes stay`;
  return new MlserError(
    'E_UNSUPPORTED',
    `operator set ${from} cannot become ${to}: ${count} behind: ${named.join('; ')}${more}`,
    { details: { from, to, count: problems.length, nodes: named }, hint: hintFor(all, from, to) },
  );
}

/** How far it can go: a node that is in the way of a version stands on this side of it. */
function hintFor(problems: readonly Problem[], from: number, to: number): string {
  const versions = problems.map(({ version }) => version);
  const reachable = to < from ? Math.max(...versions) : Math.min(...versions) - 1;
  const elsewhere = 'export the model again for the version you need';
  return reachable === from
    ? `${elsewhere}, or replace these nodes`
    : `--opset ${reachable} is as far as this model goes; or ${elsewhere}`;
}

/** Things to know about a conversion that went through. */
export class Remarks {
  readonly problems: Problem[] = [];
  readonly #assumed = new Map<string, string[]>();
  readonly #untyped: string[] = [];
  rewritten = 0;

  assume(node: string, what: string): void {
    const nodes = this.#assumed.get(what);
    if (nodes) nodes.push(node);
    else this.#assumed.set(what, [node]);
  }

  untyped(node: string): void {
    this.#untyped.push(node);
  }

  findings(): Finding[] {
    const found = [...this.#assumed].map(([what, nodes]) =>
      finding('warning', 'OPSET_ASSUMED', nodes[0] ?? '', `${what} (${listed(nodes)})`),
    );
    const nodes = [...new Set(this.#untyped)];
    if (nodes.length > 0)
      found.push(
        finding(
          'warning',
          'OPSET_TYPES_UNKNOWN',
          nodes[0] ?? '',
          `the graph does not tell the types of all values: ${listed(nodes)} may meet types that the older operators do not take`,
        ),
      );
    return found;
  }
}

const listed = (nodes: readonly string[]): string =>
  nodes.length <= 3 ? nodes.join(', ') : `${nodes.slice(0, 3).join(', ')} and ${nodes.length - 3} more`;
