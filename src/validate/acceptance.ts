import { type DType, isDType, isFloat } from '../core/dtype.js';
import { type Model, tensorMap } from '../core/model.js';
import type { ActualDevice } from '../runtime/devices.js';
import type { Acceptance } from './run.js';

/** The same graph over the same bytes: only another choice of kernels (alignment, threads) may show. */
const LOSSLESS: Acceptance = { tolerance: 1e-5 };
/** Outputs made elsewhere: another runtime, another machine. */
const EXPECTED: Acceptance = { tolerance: 1e-4 };
/** The same computed by other operators (--opset), which sum in another order or have no fused kernel. */
const REWRITTEN: Acceptance = { tolerance: 1e-4 };
/** Other hardware sums in another order and has other functions. */
const OTHER_DEVICE: Acceptance = { tolerance: 1e-3 };
/**
 * Weights rounded to these types: errors add up over the layers, so that the direction of an output counts where
 * single elements pass the tolerance.
 */
const ROUNDED = new Map<DType, Acceptance>([
  ['f16', { tolerance: 1e-2, cosine: 0.999 }],
  ['bf16', { tolerance: 5e-2, cosine: 0.99 }],
]);
const ROUNDED_FURTHER: Acceptance = { tolerance: 0.25, cosine: 0.9 };

export interface AcceptanceRequest {
  /** Given by the user: it alone decides. */
  readonly tolerance?: number | undefined;
  readonly written: Model;
  readonly source: Model | undefined;
  readonly device: ActualDevice;
  /** Outputs are compared with a file. */
  readonly expected?: string | undefined;
  readonly changed?: ReadonlySet<string> | undefined;
  /** The graph has other operators than the source. */
  readonly rewritten?: boolean | undefined;
  /** The types that weights are rounded to, under other names. */
  readonly quantized?: readonly string[] | undefined;
}

/** How close outputs must be: what the user said, else what the differences in the weights allow. */
export function acceptanceOf(request: AcceptanceRequest): Acceptance {
  const { tolerance, written, source, device, expected, changed, rewritten, quantized } = request;
  if (tolerance !== undefined) return { tolerance };
  if (quantized) return loosestOf(quantized);
  let loosest = device === 'cpu' ? (expected === undefined ? LOSSLESS : EXPECTED) : OTHER_DEVICE;
  if (rewritten && loosest.tolerance < REWRITTEN.tolerance) loosest = REWRITTEN;
  const before = source ? tensorMap(source) : new Map<string, never>();
  for (const { info } of written.tensors) {
    const old = before.get(info.name)?.info.dtype;
    const rounded = old !== undefined && old !== info.dtype && (isFloat(old) || isFloat(info.dtype));
    // Other operators round what they compute in half precision elsewhere.
    const half = rewritten && ROUNDED.has(info.dtype);
    const other = changed?.has(info.name)
      ? ROUNDED_FURTHER
      : rounded || half
        ? roundedTo(info.dtype)
        : LOSSLESS;
    if (other.tolerance > loosest.tolerance) loosest = other;
  }
  return loosest;
}

/** The worst of what these types allow; nothing is known of a graph without weights. */
function loosestOf(dtypes: readonly string[]): Acceptance {
  const each = dtypes.map((dtype) => (isDType(dtype) ? roundedTo(dtype) : ROUNDED_FURTHER));
  return each.reduce((a, b) => (b.tolerance > a.tolerance ? b : a), each[0] ?? ROUNDED_FURTHER);
}

const roundedTo = (dtype: DType): Acceptance =>
  dtype === 'f32' || dtype === 'f64' ? LOSSLESS : (ROUNDED.get(dtype) ?? ROUNDED_FURTHER);
