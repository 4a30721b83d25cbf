import type { Model } from '../../core/model.js';
import { checkWork } from './check.js';
import { type GraphPass, isGraphPass, type ModelPass, type Pass, type PassContext } from './pass.js';
import { scalarRanges } from './scalar-ranges.js';
import { spreadShapes } from './spread-shapes.js';
import { WorkModel } from './work-model.js';

/** Rounds of all passes; a graph settles after two or three. */
const MOST_ROUNDS = 20;

export interface Optimized {
  readonly model: Model;
  /** Rewrites of each pass that found something, in the order in which they first did. */
  readonly rewrites: ReadonlyMap<string, number>;
  readonly rounds: number;
}

/**
 * Runs passes over a model and the graphs inside it until none finds anything more. The outcome depends on the model
 * and the list of passes alone. After every pass the graph is checked (`checkWork`).
 */
export async function runPasses(
  start: Model,
  passes: readonly Pass[],
  context: PassContext,
  onPass: (name: string) => void = () => {},
): Promise<Optimized> {
  const rewrites = new Map<string, number>();
  const count = (name: string, n: number): void => {
    if (n > 0) rewrites.set(name, (rewrites.get(name) ?? 0) + n);
  };
  const model = await prepare(
    start,
    passes.filter((pass): pass is ModelPass => !isGraphPass(pass)),
    count,
  );
  const work = await WorkModel.open(model);
  const graphPasses = passes.filter(isGraphPass);
  let rounds = 0;
  for (let changed = true; changed && rounds < MOST_ROUNDS; rounds++) {
    changed = false;
    await askRuntime(work, context);
    for (const pass of graphPasses) {
      onPass(pass.name);
      const found = await applyTo(work, pass, context);
      count(pass.name, found);
      changed ||= found > 0;
    }
  }
  return { model: work.finish(), rewrites, rounds };
}

async function prepare(
  start: Model,
  passes: readonly ModelPass[],
  count: (name: string, n: number) => void,
): Promise<Model> {
  let model = start;
  for (const pass of passes) {
    const outcome = await pass.prepare(model);
    count(pass.name, outcome.rewrites);
    model = outcome.model;
  }
  return model;
}

async function applyTo(work: WorkModel, pass: GraphPass, context: PassContext): Promise<number> {
  let total = 0;
  for (const graph of work.graphs()) {
    const found = await pass.apply(graph, context);
    total += found;
    if (found > 0) {
      scalarRanges(graph);
      checkWork(graph, pass.name);
    }
    // What the sub-graph takes from outside may have changed, at every level.
    if (found > 0) for (let body = graph; body.outer; body = body.outer) body.outer.refresh(body);
  }
  return total;
}

/** Shapes that only the runtime can tell, of values of the main graph. */
async function askRuntime(work: WorkModel, { services }: PassContext): Promise<void> {
  const names = work.main.nodes.flatMap(({ output }) => output).filter((name) => name !== '');
  if (names.length === 0) return;
  const facts = await services.describe(work.finish(), names);
  for (const [name, fact] of facts) work.main.learn(name, fact);
  for (const graph of [...work.graphs()].reverse()) spreadShapes(graph);
}
