import type { BitReader, BitWriter } from './streams.js';

/** Longest code, in bits. */
export const LIMIT = 11;

/**
 * Lengths of the codes of symbols that occur `counts` times: those of Huffman's tree, no longer than LIMIT. 0 for a
 * symbol that never occurs, and for one that is the only one: it takes no bits.
 */
export function codeLengths(counts: ArrayLike<number>): Uint8Array {
  const count = (symbol: number): number => counts[symbol] ?? 0;
  const lengths = new Uint8Array(counts.length);
  const present = Array.from({ length: counts.length }, (_, symbol) => symbol).filter(count);
  if (present.length < 2) return lengths;
  present.sort((a, b) => count(a) - count(b) || a - b);
  const depths = limited(treeDepths(present.map(count)));
  present.forEach((symbol, i) => {
    lengths[symbol] = depths[i] ?? 0;
  });
  return lengths;
}

/**
 * Depth of every leaf of Huffman's tree; `weights` ascend. The two lightest nodes are joined until one is left; of
 * equal ones a leaf goes before a joined node, and what came first goes first.
 */
function treeDepths(weights: readonly number[]): number[] {
  const leaves = weights.length;
  // Leaves, then joined nodes: each kind ascends, so the lightest node is the next one of either.
  const nodes = [...weights];
  const parents: number[] = [];
  let leaf = 0;
  let joined = leaves;
  const weight = (node: number): number => nodes[node] ?? Infinity;
  const lightest = (): number => (leaf < leaves && weight(leaf) <= weight(joined) ? leaf++ : joined++);
  while (nodes.length < 2 * leaves - 1) {
    const [a, b] = [lightest(), lightest()];
    parents[a] = nodes.length;
    parents[b] = nodes.length;
    nodes.push(weight(a) + weight(b));
  }
  const depths: number[] = [];
  depths[nodes.length - 1] = 0;
  for (let node = nodes.length - 2; node >= 0; node--) depths[node] = (depths[parents[node] ?? 0] ?? 0) + 1;
  return depths.slice(0, leaves);
}

/**
 * No depth above LIMIT, and a prefix code all the same: the sum of 2^−depth is at most 1. The rarest symbols (the first)
 * become longer until it is; then the commonest become shorter as long as it stays so.
 */
function limited(depths: readonly number[]): number[] {
  const whole = 2 ** LIMIT;
  const out = depths.map((depth) => Math.min(depth, LIMIT));
  const share = (i: number): number => 2 ** (LIMIT - (out[i] ?? 0));
  let sum = out.reduce((total, _, i) => total + share(i), 0);
  for (let i = 0; i < out.length; i++)
    while (sum > whole && share(i) > 1) {
      sum -= share(i) / 2;
      out[i] = (out[i] ?? 0) + 1;
    }
  for (let i = out.length - 1; i >= 0; i--)
    while ((out[i] ?? 0) > 1 && sum + share(i) <= whole) {
      sum += share(i);
      out[i] = (out[i] ?? 0) - 1;
    }
  return out;
}

/** A code: of every symbol the length, and the bits as a number whose highest bit is written first. */
export interface Code {
  readonly lengths: Uint8Array;
  readonly codes: Uint16Array;
  /** Symbol by length and code (`length * 65536 + code`). */
  readonly symbols: ReadonlyMap<number, number>;
  /** The only symbol, which takes no bits. */
  readonly only: number | undefined;
}

/** Canonical codes: ascending by length, then by symbol. Undefined if no prefix code has such lengths. */
export function codeOf(lengths: Uint8Array, only?: number): Code | undefined {
  const codes = new Uint16Array(lengths.length);
  const symbols = new Map<number, number>();
  let next = 0;
  for (let length = 1; length <= LIMIT; length++, next *= 2)
    for (let symbol = 0; symbol < lengths.length; symbol++)
      if (lengths[symbol] === length) {
        if (next >= 2 ** length) return undefined;
        codes[symbol] = next;
        symbols.set(length * 65536 + next, symbol);
        next++;
      }
  return lengths.some((length) => length > LIMIT) ? undefined : { lengths, codes, symbols, only };
}

/** The code for symbols that occur `counts` times. */
export function codeFor(counts: ArrayLike<number>): Code {
  const present = Array.from({ length: counts.length }, (_, symbol) => symbol).filter((s) => counts[s]);
  const code = codeOf(codeLengths(counts), present.length === 1 ? present[0] : undefined);
  if (!code) throw new Error('lengths of no prefix code');
  return code;
}

export function putSymbol(to: BitWriter, { lengths, codes }: Code, symbol: number): void {
  const code = codes[symbol] ?? 0;
  for (let bit = (lengths[symbol] ?? 0) - 1; bit >= 0; bit--) to.put(code >>> bit, 1);
}

/** Undefined where the bits are no code. */
export function takeSymbol(from: BitReader, { symbols, only }: Code): number | undefined {
  if (only !== undefined) return only;
  for (let code = 0, length = 1; length <= LIMIT; length++) {
    code = code * 2 + from.take(1);
    const symbol = symbols.get(length * 65536 + code);
    if (symbol !== undefined) return symbol;
  }
  return undefined;
}

/**
 * A code as it is stored: the first and the last symbol that occur, a byte each; unless they are the same, the lengths
 * from one to the other, half a byte each, the lower half first.
 */
export function storeCode(counts: ArrayLike<number>, { lengths }: Code): Uint8Array {
  const present = Array.from({ length: counts.length }, (_, symbol) => symbol).filter((s) => counts[s]);
  const first = present[0] ?? counts.length - 1;
  const last = present.at(-1) ?? first;
  const halves = first === last ? [] : [...lengths.subarray(first, last + 1)];
  const out = [first, last];
  for (let i = 0; i < halves.length; i += 2) out.push((halves[i] ?? 0) | ((halves[i + 1] ?? 0) << 4));
  return Uint8Array.from(out);
}

/** The inverse for `n` symbols, with the bytes it took; undefined if they are no code. */
export function loadCode(
  bytes: Uint8Array,
  n: number,
): { readonly code: Code; readonly taken: number } | undefined {
  const [first, last] = bytes;
  if (first === undefined || last === undefined || first > last || last >= n) return undefined;
  const lengths = new Uint8Array(n);
  const taken = first === last ? 2 : 2 + Math.ceil((last - first + 1) / 2);
  if (taken > bytes.length) return undefined;
  if (first !== last)
    for (let i = 0; i <= last - first; i++)
      lengths[first + i] = ((bytes[2 + (i >> 1)] ?? 0) >>> (4 * (i & 1))) & 15;
  const code = codeOf(lengths, first === last ? first : undefined);
  return code && { code, taken };
}
