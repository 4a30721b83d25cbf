import type { EditNode } from '../edit.js';
import { numberOf } from '../opset/attributes.js';
import type { ChannelGraph } from './graph.js';
import { describe, fromFront, inputAt, outputAt } from './rule.js';

/** Steps from a Shape onwards; a broken graph may run in circles. */
const MOST_STEPS = 64;

/**
 * Where the size of an axis goes that Shape tells: why it cannot change, if something computes with it or gives it to an
 * axis that stays as it is. `shrinks`: axes that change together with it.
 */
export function sizeUse(
  graph: ChannelGraph,
  value: string,
  axis: number,
  shrinks: (value: string, axis: number) => boolean,
): string | undefined {
  const walk = (name: string, index: number, steps: number): string | undefined => {
    if (graph.outputNames.has(name) || graph.captured.has(name))
      return `its size is given out as ${JSON.stringify(name)}`;
    for (const node of graph.takers(name)) {
      const found =
        steps === 0 ? `${describe(node)}: its size goes too far` : next(node, name, index, steps - 1);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  const next = (node: EditNode, name: string, index: number, steps: number): string | undefined => {
    const computes = `${describe(node)}: it computes with the number of channels`;
    const length = graph.shape(name)?.[0] ?? 1;
    switch (node.opType) {
      case 'Cast':
      case 'Identity':
      case 'Unsqueeze':
      case 'Squeeze':
        return walk(outputAt(node), index, steps);
      case 'Gather': {
        const places = graph.integers(inputAt(node, 1));
        if (!places || node.input[0] !== name) return computes;
        return first(
          places.flatMap((at, k) => (fromFront(at, length) === index ? [k] : [])),
          (k) => walk(outputAt(node), k, steps),
        );
      }
      case 'Slice': {
        const [from] = graph.integers(inputAt(node, 1)) ?? [];
        const [to] = graph.integers(inputAt(node, 2)) ?? [];
        const [step] = inputAt(node, 4) === undefined ? [1] : (graph.integers(inputAt(node, 4)) ?? []);
        if (from === undefined || to === undefined || step !== 1) return computes;
        const start = fromFront(from, length);
        return index >= start && index < fromFront(to, length)
          ? walk(outputAt(node), index - start, steps)
          : undefined;
      }
      case 'Concat':
        return first(
          node.input.flatMap((part, k) => (part === name ? [k] : [])),
          (k) => {
            const before = node.input
              .slice(0, k)
              .reduce((sum, part) => sum + (graph.shape(part)?.[0] ?? 1), 0);
            return walk(outputAt(node), before + index, steps);
          },
        );
      case 'Reshape':
      case 'Expand':
      case 'ConstantOfShape': {
        const list = node.opType === 'ConstantOfShape' ? 0 : 1;
        if (node.input[list] !== name) return walk(outputAt(node), index, steps);
        const place = index + (graph.shape(outputAt(node))?.length ?? 0) - length;
        return shrinks(outputAt(node), place)
          ? undefined
          : `${describe(node)}: it gives the number of channels to an axis that stays`;
      }
      default:
        return computes;
    }
  };
  return first(
    graph.takers(value).filter(({ opType }) => opType === 'Shape'),
    (node) => {
      const rank = graph.shape(value)?.length ?? 0;
      const start = fromFront(numberOf(node, 'start') ?? 0, rank);
      const end = fromFront(numberOf(node, 'end') ?? rank, rank);
      return axis >= start && axis < end ? walk(outputAt(node), axis - start, MOST_STEPS) : undefined;
    },
  );
}

/** The first reason that is found. */
function first<T>(items: readonly T[], look: (item: T) => string | undefined): string | undefined {
  for (const item of items) {
    const found = look(item);
    if (found !== undefined) return found;
  }
  return undefined;
}
