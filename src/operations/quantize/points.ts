import { frontier, type Solution } from './knapsack.js';

/** A weight with what can become of it. */
export interface Layer<C> {
  readonly name: string;
  readonly bytesIn: number;
  readonly steps: readonly { readonly choice: C; readonly bytes: number; readonly loss: number }[];
}

/** A size of the file that can be had, with the least loss. */
export interface Point<C> {
  readonly bytes: number;
  readonly loss: number;
  /** Choices of the weights that do not stay as they are. */
  readonly chosen: ReadonlyMap<string, C>;
}

/** Points of the frontier that a report holds. */
const SHOWN = 20;

/** The frontier, the largest first. `total`: bytes of the file with all weights as they are. */
export function pointsOf<C>(layers: readonly Layer<C>[], total: number): readonly Point<C>[] {
  const whole = layers.reduce((sum, { bytesIn }) => sum + bytesIn, 0);
  const items = layers.map(({ bytesIn, steps }) => [{ bytes: bytesIn, loss: 0 }, ...steps]);
  return frontier(items).map(({ bytes, loss, choices }: Solution) => ({
    bytes: total - whole + bytes,
    loss,
    chosen: new Map(
      layers.flatMap(({ name, steps }, i): [string, C][] => {
        const step = steps[(choices[i] ?? 0) - 1];
        return step ? [[name, step.choice]] : [];
      }),
    ),
  }));
}

/** Some of the points, both ends among them, with how many weights have each choice. */
export function shown<C>(
  points: readonly Point<C>[],
  title: (choice: C) => string,
): readonly { readonly bytes: number; readonly loss: number; readonly counts: Record<string, number> }[] {
  const last = points.length - 1;
  const every = Math.max(1, last / (SHOWN - 1));
  const picked = new Set(Array.from({ length: SHOWN }, (_, i) => Math.min(last, Math.round(i * every))));
  return points
    .filter((_, i) => picked.has(i))
    .map(({ bytes, loss, chosen }) => {
      const counts: Record<string, number> = {};
      for (const choice of chosen.values()) counts[title(choice)] = (counts[title(choice)] ?? 0) + 1;
      return { bytes, loss, counts };
    });
}
