import type { WorkContext } from '../../../core/format.js';
import type { Model } from '../../../core/model.js';
import { beside } from '../../../graph/channels/beside.js';
import type { LayerFeeds, Magnitudes } from '../../../graph/quantize/types.js';
import type { OpenedModel } from '../../open.js';
import { layerFeeds } from '../../quantize/calibration/grams.js';

interface From {
  readonly opened: OpenedModel;
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  readonly data: string;
  readonly context: WorkContext;
}

/** How far the outputs of changed models are from those of a model, over the samples. */
export class OutputErrors {
  readonly #model: Model;
  readonly #feeds: LayerFeeds;
  readonly #outputs: readonly Output[];
  readonly #variance: number;

  private constructor(model: Model, feeds: LayerFeeds, outputs: readonly Output[], variance: number) {
    this.#model = model;
    this.#feeds = feeds;
    this.#outputs = outputs;
    this.#variance = variance;
  }

  /** undefined where no outputs can be compared. */
  static async open({ opened, shapes, data, context }: From): Promise<OutputErrors | undefined> {
    const { model, files } = opened;
    const outputs = floatOutputs(model, shapes);
    if (outputs.length === 0) return undefined;
    const feeds = layerFeeds({ files, data, context });
    const found = await magnitudes(feeds, model, outputs);
    const variance = found.reduce((sum, one) => sum + varianceOf(one), 0);
    return variance > 0 ? new OutputErrors(model, feeds, outputs, variance) : undefined;
  }

  /** The sum of squared differences as a share of the variance of the outputs; undefined where it cannot be known. */
  async of(other: Model): Promise<number | undefined> {
    const names = this.#outputs.map(({ name }) => name);
    const both = await beside(this.#model, other, names, 'difference');
    if (!both) return undefined;
    const differences = this.#outputs.map(({ size }, i) => ({ name: both.values[i] ?? '', size }));
    const found = await magnitudes(this.#feeds, both.model, differences);
    const error = found.reduce((sum, { squares }) => sum + total(squares), 0) / this.#variance;
    return Number.isFinite(error) ? error : undefined;
  }
}

interface Output {
  readonly name: string;
  /** Of the last axis. */
  readonly size: number;
}

const magnitudes = async (
  feeds: LayerFeeds,
  model: Model,
  values: readonly Output[],
): Promise<readonly Magnitudes[]> => [
  ...(
    await feeds.magnitudes(
      model,
      values.map(({ name, size }) => ({ id: name, value: name, size })),
    )
  ).values(),
];

const total = (values: Float64Array): number => values.reduce((sum, x) => sum + x, 0);
const varianceOf = ({ squares, sum, rows }: Magnitudes): number =>
  total(squares.map((x, i) => x - (sum[i] ?? 0) ** 2 / rows));

function floatOutputs({ graph }: Model, shapes: ReadonlyMap<string, readonly number[]>): readonly Output[] {
  return (graph?.outputs ?? []).flatMap(({ name, dtype }) => {
    const size = shapes.get(name)?.at(-1);
    return /^(f16|f32|f64|bf16)$/.test(dtype) && size !== undefined ? [{ name, size }] : [];
  });
}
