import type { WorkContext } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import { MlserError } from '../../errors.js';
import { valueInfo } from '../../formats/onnx/summary.js';
import { extract } from '../../graph/extract.js';
import { madeValues } from '../../graph/made-values.js';
import { valueTypes } from '../../graph/value-types.js';
import type { InputFiles } from '../../io/files.js';
import type { ArrayFile } from '../../runtime/arrays.js';
import type { ActualDevice } from '../../runtime/devices.js';
import type { Runtime, Session } from '../../runtime/process.js';
import { type ValueInfo, type Values, valueType } from '../../runtime/values.js';
import { measuring, shapeName } from '../observed-model.js';
import { onlyInputs, openChanged } from '../open-changed.js';
import { type Measured, measure, sizesOf } from '../quantize/calibration/measure.js';

/** A graph whose inner values are looked at while it runs, without the runtime's optimizations. */
export class Taps {
  readonly model: Model;
  readonly files: InputFiles;
  readonly device: ActualDevice;
  readonly #runtime: Runtime;
  readonly #context: WorkContext;
  #made: ReadonlySet<string> | undefined;

  constructor(
    target: { readonly model: Model; readonly files: InputFiles },
    device: ActualDevice,
    runtime: Runtime,
    context: WorkContext,
  ) {
    this.model = target.model;
    this.files = target.files;
    this.device = device;
    this.#runtime = runtime;
    this.#context = context;
    if (!target.model.graph)
      throw new MlserError('E_USAGE', `${target.files.label} has no graph that could be run`, {
        details: { input: target.files.label, format: target.model.format },
        hint: 'name an .onnx file',
      });
  }

  /** A node of the main graph makes this value. */
  makes(name: string): boolean {
    this.#made ??= new Set(madeValues(this.model).map((value) => value.name));
    return this.#made.has(name);
  }

  /** A session that gives these values and computes no more than they need. */
  open(names: readonly string[]): Promise<Session> {
    return this.#load(extract(this.model, { outputs: names }));
  }

  /** Those of the values that can leave the graph: no sequences, no types that the runtime does not hand out. */
  async fetchable(names: readonly string[]): Promise<ReadonlyMap<string, ValueInfo>> {
    // Tapping a value of another type (bf16, int4) would spoil the session.
    const typeOf = valueTypes(this.model);
    const open = names.filter((name) => {
      const type = typeOf(name);
      return !type || valueType(valueInfo(type).dtype) !== undefined;
    });
    if (open.length === 0) return new Map();
    const session = await this.open(open);
    await session.release();
    return new Map(
      session.outputs.flatMap((value) => (isFetched(value) ? [[value.name, value] as const] : [])),
    );
  }

  /** Feeds that the graph takes, and the bytes of each value in one run. */
  async measured(file: ArrayFile | undefined, names: readonly string[], limit: number): Promise<Measured> {
    const session = await this.#load(measuring(this.model, names));
    try {
      return await measure(session, file, { model: this.model, names, label: this.files.label, limit });
    } finally {
      await session.release();
    }
  }

  /** Bytes of values when the graph is fed so. */
  async sizes(feeds: Values, names: readonly string[]): Promise<ReadonlyMap<string, number>> {
    if (names.length === 0) return new Map();
    const session = await this.#load(measuring(this.model, names));
    try {
      const { outputs } = await session.run(onlyInputs(session, feeds), names.map(shapeName));
      return sizesOf(names, outputs);
    } finally {
      await session.release();
    }
  }

  #load(changed: Model): Promise<Session> {
    const { model, files, device } = this;
    return openChanged({ model, files }, this.#runtime, changed, this.#context.threads, device);
  }
}

const FETCHED = /^(u?int(8|16|32|64)|float(16|32|64)|bool)$/;
const isFetched = ({ type }: ValueInfo): boolean => type !== undefined && FETCHED.test(type);
