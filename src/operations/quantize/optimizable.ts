import { runPasses } from '../../graph/optimize/run-passes.js';
import type { Runtime } from '../../runtime/process.js';
import type { OpenedModel } from '../open.js';
import { choosePasses } from '../optimize/choose-passes.js';
import { FOLD_LIMIT } from '../optimize/optimize.js';
import { runtimeServices } from '../optimize/runtime-services.js';

/** Of such operators, the nodes of a model that `optimize` takes out: `52 Pad`. Nothing is written. */
export async function wouldGo(
  source: OpenedModel,
  operators: ReadonlySet<string>,
  runtime: Runtime,
): Promise<readonly string[]> {
  const counts = source.model.graph?.ops ?? new Map<string, number>();
  if (![...operators].some((operator) => counts.has(operator))) return [];
  const services = runtimeServices(source, runtime);
  try {
    const { model } = await runPasses(source.model, choosePasses({}), { services, foldLimit: FOLD_LIMIT });
    return [...operators].flatMap((operator) => {
      const gone = (counts.get(operator) ?? 0) - (model.graph?.ops.get(operator) ?? 0);
      return gone > 0 ? [`${gone} ${operator}`] : [];
    });
  } finally {
    services.close();
  }
}
