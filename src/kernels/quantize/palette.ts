import type { TensorSource } from '../../core/tensor.js';
import { type ChannelGranularity, ChannelGroups } from './channel-groups.js';
import { type CodedTensor, type Coder, codedBy } from './codes.js';
import { Nearest } from './nearest.js';
import { type Palette, PaletteFit, type PaletteSpec } from './palette-fit.js';
import { f32Values, type Packing } from './values.js';

export interface PaletteTensor extends CodedTensor, Palette {}

/**
 * A tensor as codes of at most `k` values that are fitted to it, or to each group of its channels. The values are read
 * twice (ends, then histograms), and once more when codes are pulled. Undefined if a value is NaN or infinite.
 */
export async function paletteTensor(
  tensor: TensorSource,
  spec: PaletteSpec,
  packing: Packing,
): Promise<PaletteTensor | undefined> {
  const { shape, dtype } = tensor.info;
  const fit = new PaletteFit(shape, dtype, spec);
  for await (const { at, values } of f32Values(tensor)) fit.widen(values, at);
  if (!fit.finite) return undefined;
  for (const part of fit.parts())
    for await (const { at, values } of f32Values(tensor, part.start, part.end)) part.add(values, at);
  return withTables(tensor, spec, fit, packing);
}

/** The same with codebooks from elsewhere. */
export const withTables = (
  tensor: TensorSource,
  spec: ChannelGranularity,
  { tables }: Palette,
  packing: Packing,
): PaletteTensor => ({
  tables,
  ...codedBy(tensor, packing, new PaletteCoder(new ChannelGroups(tensor.info.shape, spec), tables)),
});

/** Steps of the search in small codebooks: their cells have to be filled, too. */
const FEW_GROUPS = 64;
const CELLS_OF_MANY = 64;

/** Values to codes and back, each by the codebook of its group. */
export class PaletteCoder implements Coder {
  readonly #groups: ChannelGroups;
  readonly #rows: ReturnType<typeof tableRows>;
  readonly #nearest: readonly Nearest[];

  constructor(groups: ChannelGroups, tables: readonly Float64Array[]) {
    this.#groups = groups;
    this.#rows = tableRows(tables);
    const cells = tables.length > FEW_GROUPS ? CELLS_OF_MANY : undefined;
    this.#nearest = tables.map((table) => new Nearest(table, cells));
  }

  codes(values: Float32Array, at: number): Uint8Array {
    const out = new Uint8Array(values.length);
    this.#groups.visit(at, at + values.length, (start, length, group) => {
      this.#nearest[group]?.codes(values, start - at, start - at + length, out);
    });
    return out;
  }

  valuesOf(codes: Uint8Array, at: number): Float64Array {
    const { width, values } = this.#rows;
    return tableValues(this.#groups, values, width, codes, at);
  }
}

/** Values that codes stand for, in tables of `width` values that lie one behind the other. */
export function tableValues(
  groups: ChannelGroups,
  values: Float64Array,
  width: number,
  codes: Uint8Array,
  at: number,
): Float64Array {
  const out = new Float64Array(codes.length);
  groups.visit(at, at + codes.length, (start, length, group) => {
    const base = group * width;
    for (let i = start - at; i < start - at + length; i++) out[i] = values[base + (codes[i] ?? 0)] ?? 0;
  });
  return out;
}

/** Tables of one length as a matrix, a row a group: the last value of the shorter ones is repeated. */
export function tableRows(tables: readonly Float64Array[]): {
  readonly width: number;
  readonly values: Float64Array;
} {
  const width = Math.max(1, ...tables.map(({ length }) => length));
  const values = new Float64Array(tables.length * width);
  for (const [group, table] of tables.entries()) {
    values.fill(table.at(-1) ?? 0, group * width, (group + 1) * width);
    values.set(table, group * width);
  }
  return { width, values };
}
