import type { ModelProto } from '../../formats/onnx/schema.js';

/** The IR version of the release that brought an operator set (docs/Versioning.md, Released Versions). */
const FIRST_IR: readonly (readonly [opset: number, ir: bigint])[] = [
  [28, 14n],
  [25, 13n],
  [24, 12n],
  [23, 11n],
  [21, 10n],
  [19, 9n],
  [15, 8n],
  [12, 7n],
  [11, 6n],
  [10, 5n],
  [9, 4n],
];
/** Before it, every initializer had to be an input too. */
const FREE_INITIALIZERS = 4n;

/** The IR version of a converted model: its own, unless the operators or new initializers need a later one. */
export function irVersionFor(model: ModelProto, opset: number, addsInitializers: boolean): bigint {
  const own = model.irVersion ?? 3n;
  const needed = FIRST_IR.find(([first]) => opset >= first)?.[1] ?? 3n;
  const least = addsInitializers && needed < FREE_INITIALIZERS ? FREE_INITIALIZERS : needed;
  return own < least ? least : own;
}
