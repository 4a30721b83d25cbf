/** What rounding did to a tensor, as `TensorDifference` has it. */
export interface LossFigures {
  /** No value was NaN or infinite. */
  readonly finite: boolean;
  readonly maxAbs: number;
  readonly maxRel: number;
  readonly rmse: number;
  readonly sqnrDb: number | null;
  readonly cosine: number | null;
}

/** From what tasks counted (`TaskResult.errors`), over `count` elements. */
export function lossOf(parts: readonly Float64Array[], count: number): LossFigures {
  const sum = (i: number): number => parts.reduce((all, part) => all + (part[i] ?? 0), 0);
  const most = (i: number): number => parts.reduce((all, part) => Math.max(all, part[i] ?? 0), 0);
  const [error, aa, bb] = [sum(0), sum(1), sum(2)];
  return {
    finite: sum(5) === 0,
    maxAbs: most(3),
    maxRel: most(4),
    rmse: count === 0 ? 0 : Math.sqrt(error / count),
    sqnrDb: error === 0 || aa === 0 ? null : 10 * Math.log10(aa / error),
    cosine: cosineOf(error, aa, bb),
  };
}

/** From (a − b)² = a² − 2ab + b². */
function cosineOf(error: number, aa: number, bb: number): number | null {
  if (error === 0) return 1;
  return aa === 0 || bb === 0 ? null : (aa + bb - error) / 2 / Math.sqrt(aa * bb);
}
