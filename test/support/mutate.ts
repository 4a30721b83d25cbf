/** Deterministic damage for robustness tests. */

function random(seed: string): () => number {
  let state = 2166136261;
  for (const char of seed) state = Math.imul(state ^ char.charCodeAt(0), 16777619) >>> 0;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 4294967296;
  };
}

/** `count` prefixes, spread evenly (all of them if there are no more). */
export function* prefixes(bytes: Uint8Array, count: number): Generator<Uint8Array> {
  const step = Math.max(1, Math.floor(bytes.length / count));
  for (let end = 0; end < bytes.length; end += step) yield bytes.subarray(0, end);
}

const INTERESTING = [0, 1, 0x7f, 0x80, 0xfe, 0xff];

/** `count` copies with one kind of damage each: a byte, a bit, a 64-bit field, a deleted, doubled or zeroed range. */
export function* mutations(bytes: Uint8Array, count: number, seed: string): Generator<Uint8Array> {
  if (bytes.length === 0) return;
  const next = random(seed);
  const below = (n: number): number => Math.floor(next() * n);
  /** Structure lies at the ends: hit them more often than the weights. */
  const place = (): number => {
    const window = Math.min(bytes.length, 2048);
    const where = below(4);
    if (where === 0) return below(window);
    if (where === 1) return bytes.length - 1 - below(window);
    return below(bytes.length);
  };
  for (let i = 0; i < count; i++) {
    const copy = Uint8Array.from(bytes);
    const at = place();
    switch (below(6)) {
      case 0:
        copy[at] = INTERESTING[below(INTERESTING.length)] ?? 0;
        break;
      case 1:
        copy[at] = (copy[at] ?? 0) ^ (1 << below(8));
        break;
      case 2: {
        const view = new DataView(copy.buffer);
        if (at + 8 <= copy.length) view.setBigUint64(at, 2n ** BigInt(below(64)) - BigInt(below(2)), true);
        break;
      }
      case 3:
        yield Uint8Array.from([...copy.subarray(0, at), ...copy.subarray(at + 1 + below(16))]);
        continue;
      case 4:
        yield Uint8Array.from([...copy.subarray(0, at), ...copy.subarray(Math.max(0, at - 16)), 0]);
        continue;
      default:
        copy.fill(0, at, at + 1 + below(32));
    }
    yield copy;
  }
}
