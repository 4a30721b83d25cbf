import type { ValuePart } from './protocol.js';
import type { NumberArray, Value } from './values.js';

/**
 * Large outputs cross the channel in parts: of a message as a whole each side would hold two more copies, one of them in
 * pieces.
 */
export const PART_BYTES = 4 << 20;

type Output = readonly [string, Value];

const isLarge = (data: Value['data']): data is NumberArray =>
  ArrayBuffer.isView(data) && data.byteLength > PART_BYTES;

/** Parts of the large outputs, in order. */
export function* partsOf(outputs: readonly Output[]): Generator<ValuePart> {
  for (const [output, [, { data }]] of outputs.entries()) {
    if (!isLarge(data)) continue;
    const all = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    for (let offset = 0; offset < all.length; offset += PART_BYTES)
      yield { output, offset, total: all.length, bytes: all.subarray(offset, offset + PART_BYTES) };
  }
}

/** The outputs without what goes in parts: arrays of the same type, with nothing in them. */
export const withoutParts = (outputs: readonly Output[]): readonly Output[] =>
  outputs.map(([name, value]) => [
    name,
    isLarge(value.data) ? { ...value, data: value.data.slice(0, 0) } : value,
  ]);

/** Puts parts together again. */
export class Parts {
  readonly #arrays = new Map<number, Uint8Array<ArrayBuffer>>();

  take({ output, offset, total, bytes }: ValuePart): void {
    const all = this.#arrays.get(output) ?? new Uint8Array(total);
    all.set(bytes, offset);
    this.#arrays.set(output, all);
  }

  whole(outputs: readonly Output[]): readonly Output[] {
    return outputs.map(([name, value], output) => {
      const all = this.#arrays.get(output);
      if (!all) return [name, value];
      const kind = (value.data as NumberArray).constructor as NumberArrayOver;
      return [name, { ...value, data: new kind(all.buffer) }];
    });
  }
}

type NumberArrayOver = new (buffer: ArrayBuffer) => NumberArray;
