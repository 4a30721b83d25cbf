import type { WorkContext } from '../../../core/format.js';
import { type Model, tensorMap } from '../../../core/model.js';
import type { TensorSource } from '../../../core/tensor.js';
import { type Finding, finding, MlserError } from '../../../errors.js';
import { compareUtf8 } from '../../../formats/safetensors/layout.js';
import { formatJson } from '../../../io/json.js';
import { hasLoneSurrogate } from '../../../io/utf8.js';
import { interrupted } from '../../../kernels/messages.js';

export interface Pair {
  readonly base: TensorSource;
  readonly next: TensorSource;
}

/**
 * The tensors of two models side by side, in the order of their names' UTF-8 bytes. These dialects can say that
 * values changed, and nothing else.
 * @throws E_UNSUPPORTED if a tensor is new, is gone, or has another type or shape.
 */
export function pairModels(base: Model, next: Model, title: string): Pair[] {
  const before = tensorMap(base);
  const pairs = next.tensors.map((tensor): Pair => {
    const { name } = tensor.info;
    const old = before.get(name);
    if (!old) throw unsaid(name, 'is not in the base', title);
    if (before.delete(name) && !sameForm(old, tensor))
      throw unsaid(name, `is ${form(tensor)} and was ${form(old)}`, title);
    if (hasLoneSurrogate(name)) throw unsaid(name, 'has a name without a UTF-8 form', title);
    return { base: old, next: tensor };
  });
  const [gone] = before.keys();
  if (gone !== undefined) throw unsaid(gone, 'is in the base only', title);
  return pairs.sort((a, b) => compareUtf8(a.next.info.name, b.next.info.name));
}

const unsaid = (tensor: string, what: string, title: string): MlserError =>
  new MlserError('E_UNSUPPORTED', `tensor ${JSON.stringify(tensor)} ${what}: ${title} cannot say that`, {
    details: { tensor },
    hint: 'use --dialect native, or write the whole model',
  });

export const form = ({ info }: TensorSource): string => `${info.dtype} [${info.shape.join(', ')}]`;
const sameForm = (a: TensorSource, b: TensorSource): boolean => form(a) === form(b);

/** What the two models differ in beside their tensors: a delta has no place for it. */
export function notCarried(base: Model, next: Model): Finding[] {
  const text = ({ metadata }: Model): string =>
    formatJson(new Map([...metadata].sort(([a], [b]) => compareUtf8(a, b))));
  if (text(base) === text(next)) return [];
  const message = 'the metadata of the two models differs; the delta carries tensors only';
  return [finding('warning', 'METADATA_NOT_CARRIED', 'metadata', message)];
}

export interface Piece {
  /** Where the piece begins in the tensor. */
  readonly at: number;
  readonly old: Uint8Array;
  readonly new: Uint8Array;
}

/** Equal ranges of both tensors, in order; they end on whole elements. */
export async function* piecesOf(pair: Pair, { signal }: Pick<WorkContext, 'signal'>): AsyncGenerator<Piece> {
  const streams = [pair.base.stream(), pair.next.stream()].map((chunks) => chunks[Symbol.asyncIterator]());
  const [left, right] = streams;
  let at = 0;
  let a: Uint8Array = new Uint8Array();
  let b: Uint8Array = a;
  try {
    while (at < pair.next.byteLength) {
      if (signal?.aborted) throw interrupted();
      if (a.length === 0) a = await pull(left, pair.base);
      if (b.length === 0) b = await pull(right, pair.next);
      const length = Math.min(a.length, b.length);
      yield { at, old: a.subarray(0, length), new: b.subarray(0, length) };
      a = a.subarray(length);
      b = b.subarray(length);
      at += length;
    }
    // What a stream checks when it ends is checked only if it is asked for its end.
    for (const stream of streams) await stream.next();
  } finally {
    for (const stream of streams) await stream.return?.();
  }
}

async function pull(
  stream: AsyncIterator<Uint8Array> | undefined,
  { info, byteLength }: TensorSource,
): Promise<Uint8Array> {
  for (;;) {
    const step = await stream?.next();
    if (!step || step.done)
      throw new MlserError(
        'E_TRUNCATED',
        `tensor ${JSON.stringify(info.name)} gives fewer than ${byteLength} bytes`,
        { details: { tensor: info.name, needed: byteLength } },
      );
    if (step.value.length > 0) return step.value;
  }
}

export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
