import type { WorkContext } from '../../core/format.js';
import type { NodeProto } from '../../formats/onnx/schema.js';
import type { Candidate, Candidates } from './candidates.js';
import type { Check, Part } from './checks.js';
import { type Failure, isSame } from './outcome.js';
import type { Reduction } from './report.js';
import { oneMinimal, shortestPrefix, shortestSuffix } from './search.js';

export interface Reducing {
  readonly candidates: Candidates;
  readonly partOf: (candidate: Candidate) => Promise<Part | undefined>;
  readonly check: Check;
  /** What every candidate has to go on doing. */
  readonly failure: Failure;
  /** So many checks, and no more. */
  readonly maxChecks: number;
  readonly context: WorkContext;
}

export interface Reduced {
  readonly candidate: Candidate;
  readonly steps: Reduction['steps'];
  readonly minimal: boolean;
}

/**
 * The smallest part that still fails, in four steps: the end of the graph is cut off by bisection, then what does not
 * lead to the last node, then the beginning, then single nodes (`oneMinimal`), and in the end outputs. Every
 * candidate is checked once; the order depends on nothing but the graph and the answers.
 */
export async function reduceGraph(reducing: Reducing): Promise<Reduced> {
  const { candidates } = reducing;
  const trials = new Trials(reducing);
  const fails = (stage: string) => (kept: readonly NodeProto[]) => trials.fails(stage, candidates.of(kept));
  const inOrder = ({ nodes }: Candidate): readonly NodeProto[] =>
    candidates.items.filter((node) => nodes.has(node));
  let kept = await shortestPrefix(candidates.items, fails('end'));
  kept = inOrder(candidates.of(kept));
  const cone = candidates.behind(kept);
  if (cone.length < kept.length && (await fails('branches')(cone))) kept = cone;
  kept = await shortestSuffix(kept, fails('start'));
  kept = await oneMinimal(kept, fails('nodes'));
  const found = candidates.of(kept);
  // An output goes with the nodes that only it needs.
  const giving = (some: readonly string[]): Candidate =>
    candidates.of(candidates.behind(inOrder(found), some), some);
  const outputs = await oneMinimal(found.outputs, (some) => trials.fails('outputs', giving(some)));
  const candidate = outputs.length < found.outputs.length ? giving(outputs) : found;
  return { candidate, steps: trials.steps, minimal: !trials.exhausted };
}

/** Checks, each made once. */
class Trials {
  readonly steps: { readonly stage: string; readonly nodes: number; readonly fails: boolean }[] = [];
  exhausted = false;
  readonly #reducing: Reducing;
  readonly #known = new Map<string, boolean>();
  #least: number;

  constructor(reducing: Reducing) {
    this.#reducing = reducing;
    this.#least = reducing.candidates.items.length;
  }

  async fails(stage: string, candidate: Candidate): Promise<boolean> {
    const { partOf, check, failure, maxChecks, context } = this.#reducing;
    const known = this.#known.get(candidate.key);
    if (known !== undefined) return known;
    context.signal?.throwIfAborted();
    if (this.steps.length >= maxChecks) {
      this.exhausted = true;
      return false;
    }
    const part = await partOf(candidate);
    const fails = part !== undefined && isSame(await check(part), failure);
    this.#known.set(candidate.key, fails);
    this.steps.push({ stage, nodes: candidate.count, fails });
    if (fails) this.#least = Math.min(this.#least, candidate.count);
    context.progress.stage(`reduce: check ${this.steps.length}, ${this.#least} nodes left`, 0);
    return fails;
  }
}
