import type { LossyMethod } from '../../core/format.js';
import { MlserError } from '../../errors.js';

/** How the differences of a tensor are rounded, or which share of them is kept (exactly). */
export type Lossy = LossyMethod | { readonly topk: number };

export interface LossyOptions {
  /** Tensors that are no optimizer state. */
  readonly lossy?: Lossy;
  readonly lossyOptimizer?: Lossy;
}

const METHODS = new Map<string, LossyMethod>([
  ['bf16-delta', 'bf16-delta'],
  ['bf16', 'bf16-delta'],
  ['int8-delta', 'int8-delta'],
  ['int8', 'int8-delta'],
]);

/** `bf16-delta`, `int8-delta`, `topk=1%`. @throws E_USAGE. */
export function parseLossy(text: string): Lossy {
  const method = METHODS.get(text);
  if (method) return method;
  const [, number, percent] = /^topk=(\d+(?:\.\d+)?)(%?)$/.exec(text) ?? [];
  const share = Number(number) / (percent === '%' ? 100 : 1);
  if (number !== undefined && share > 0 && share <= 1) return { topk: share };
  throw new MlserError('E_USAGE', `${JSON.stringify(text)} is no way to lose`, {
    hint: 'use bf16-delta, int8-delta, or the share of the changes that is kept, as topk=1%',
  });
}

const words = (lossy: Lossy): string =>
  typeof lossy === 'string' ? lossy : `topk=${Number((lossy.topk * 100).toPrecision(6))}%`;

/** Stored with the delta. */
export function describeLossy({ lossy, lossyOptimizer }: LossyOptions): string | undefined {
  const parts = [
    ...(lossy ? [`weights ${words(lossy)}`] : []),
    ...(lossyOptimizer ? [`optimizer ${words(lossyOptimizer)}`] : []),
  ];
  return parts.length === 0 ? undefined : parts.join(', ');
}
