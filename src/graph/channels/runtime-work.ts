import type { EditNode } from '../edit.js';
import { numberOf } from '../opset/attributes.js';
import type { ChannelGraph } from './graph.js';
import type { ChannelGroup } from './groups.js';
import { keyOf } from './positions.js';
import { inputAt, outputAt } from './rule.js';

/** Channels that the runtime computes together: the lanes of AVX-512, blocks of its NCHWc layout and panels of its GEMM. */
const BLOCK = 16;
/** Fewer input channels than a block are read one by one, which takes about twice as long each. */
const SINGLE = 2;
/** An element of a pooling, in multiply-adds: in blocks, and where channels do not fill blocks. */
const POOLED = 6;
const POOLED_SINGLE = 62;

/** A size, and the group it shrinks with. */
interface Size {
  readonly size: number;
  readonly group?: number;
}

/** What a node takes as a product of sizes, one of them counted in blocks. */
interface Term {
  readonly kind: 'conv' | 'product' | 'pool';
  readonly plain: readonly Size[];
  readonly outs: Size;
  readonly ins: Size;
}

/**
 * How long the runtime computes on a sample, in multiply-adds of full blocks, by how many units of every group stay. It is
 * a model of onnxruntime 1.30 on one thread of a processor with AVX-512 (src/README.md has what was measured), the same
 * wherever it is asked: what is chosen by it does not depend on the machine. Elementwise nodes count nothing, for most of
 * them are computed with the product before them.
 */
export class RuntimeWork {
  readonly #groups: readonly ChannelGroup[];
  readonly #terms: readonly Term[];
  /** Terms by group. */
  readonly #own: readonly (readonly Term[])[];

  constructor(graph: ChannelGraph, groups: readonly ChannelGroup[]) {
    this.#groups = groups;
    const members = new Map(
      groups.flatMap(({ weights, values }, at) =>
        [...weights, ...values].map(({ value, axis }) => [keyOf(value, axis), at] as const),
      ),
    );
    const sizes = (value: string | undefined): readonly Size[] =>
      (graph.shape(value) ?? []).map((size, axis) => {
        const group = members.get(keyOf(value ?? '', axis));
        return group === undefined ? { size } : { size, group };
      });
    this.#terms = graph.nodes.flatMap((node) => termOf(node, sizes) ?? []);
    this.#own = groups.map((_, at) => this.#terms.filter((term) => touches(term, at)));
  }

  /** Of all products and poolings. */
  total(kept: readonly number[]): number {
    return this.#sum(this.#terms, kept);
  }

  /** How much less it is when `units` of a group stay. */
  saved(kept: readonly number[], group: number, units: number): number {
    const own = this.#own[group] ?? [];
    return this.#sum(own, kept) - this.#sum(own, kept.with(group, units));
  }

  #sum(terms: readonly Term[], kept: readonly number[]): number {
    const left = ({ size, group }: Size): number => {
      const all = group === undefined ? undefined : this.#groups[group]?.units;
      return all === undefined ? size : Math.max(1, Math.round((size * (kept[group ?? 0] ?? all)) / all));
    };
    return terms.reduce((sum, { kind, plain, outs, ins }) => {
      const times = plain.reduce((product, one) => product * left(one), 1);
      return sum + times * work(kind, left(outs), left(ins));
    }, 0);
  }
}

const touches = ({ plain, outs, ins }: Term, at: number): boolean =>
  [...plain, outs, ins].some(({ group }) => group === at);

const blocks = (channels: number): number => Math.ceil(channels / BLOCK) * BLOCK;

function work(kind: Term['kind'], outs: number, ins: number): number {
  if (kind === 'pool') return outs * (outs % BLOCK === 0 ? POOLED : POOLED_SINGLE);
  if (kind === 'product') return blocks(outs) * ins;
  return blocks(outs) * (ins < BLOCK ? SINGLE * ins : blocks(ins));
}

function termOf(node: EditNode, sizes: (value: string | undefined) => readonly Size[]): Term | undefined {
  if ((node.domain ?? '') !== '') return undefined;
  const out = sizes(outputAt(node));
  const first = sizes(inputAt(node, 0));
  const second = sizes(inputAt(node, 1));
  const one: Size = { size: 1 };
  switch (node.opType) {
    case 'Conv': {
      // [N, C, …] by [M, C / groups, …].
      const [batch = one, outs = one, ...places] = out;
      const [, ins = one, ...kernel] = second;
      return { kind: 'conv', plain: [batch, ...places, ...kernel], outs, ins };
    }
    case 'Gemm': {
      const [rows = one, outs = one] = out;
      const ins = first[(numberOf(node, 'transA') ?? 0) === 0 ? 1 : 0] ?? one;
      return { kind: 'product', plain: [rows], outs, ins };
    }
    case 'MatMul':
      return { kind: 'product', plain: out.slice(0, -1), outs: out.at(-1) ?? one, ins: first.at(-1) ?? one };
    case 'MaxPool':
    case 'AveragePool': {
      const [batch = one, outs = one, ...places] = first;
      return { kind: 'pool', plain: [batch, ...places], outs, ins: one };
    }
    default:
      return undefined;
  }
}
