import { elementCount } from '../core/dtype.js';
import type { TensorSource } from '../core/tensor.js';
import { type Finding, finding } from '../errors.js';
import { type ArrayFile, matchNames, missingArrays } from '../runtime/arrays.js';
import type { Slice } from '../runtime/feed-source.js';
import { type Comparison, compareOutput, nonFinite, type OutputComparison } from '../runtime/metrics.js';
import { isFloatType, type Value, type Values, valueType, viewAs } from '../runtime/values.js';

/** Gathers comparisons of outputs over the slices of a run. */
export class OutputGatherer {
  readonly #comparisons = new Map<string, Comparison>();
  readonly #findings: Finding[] = [];
  readonly #broken = new Set<string>();

  /**
   * Outputs next to a reference's: by name, or in order where no name is shared. `anyFloat`: floats of other types
   * are compared too.
   */
  addReference(outputs: Values, reference: Values, anyFloat = false): void {
    const shared = [...reference.keys()].some((name) => outputs.has(name));
    const inOrder = [...outputs.values()];
    [...reference].forEach(([name, value], i) => {
      const own = outputs.get(name) ?? (shared || outputs.size !== reference.size ? undefined : inOrder[i]);
      if (own) this.#add(name, own, value, anyFloat && isFloatType(own.type) && isFloatType(value.type));
      else if (!this.#broken.has(name)) {
        this.#broken.add(name);
        this.#findings.push(
          finding('error', 'OUTPUT_MISSING', name, 'the reference has an output that is not there'),
        );
      }
    });
  }

  /** Outputs next to what was expected; number types may differ, values may not. */
  async addExpected(
    outputs: Values,
    expected: ReadonlyMap<string, TensorSource>,
    slice: Slice | undefined,
  ): Promise<void> {
    for (const [name, array] of expected) {
      const own = outputs.get(name);
      if (own) this.#add(name, own, await loadExpected(array, own, slice), true);
    }
  }

  /** Without a reference: outputs should at least be finite. */
  addAlone(outputs: Values, severity: 'warning' | 'error'): void {
    for (const [name, value] of outputs) {
      const odd = nonFinite(value);
      if (odd === 0 || this.#broken.has(name)) continue;
      this.#broken.add(name);
      const message = `${odd} of ${elementCount(value.dims)} values are NaN or infinite`;
      this.#findings.push(finding(severity, 'NONFINITE_OUTPUT', name, message));
    }
  }

  #add(name: string, own: Value, reference: Value, anyNumberType: boolean): void {
    if (this.#broken.has(name)) return;
    let comparison = this.#comparisons.get(name);
    if (!comparison) {
      comparison = compareOutput(name, { anyNumberType });
      this.#comparisons.set(name, comparison);
    }
    if (!comparison.add(own, reference)) this.#broken.add(name);
  }

  results(): OutputComparison[] {
    return [...this.#comparisons.values()].map((comparison) => comparison.result());
  }

  findings(): Finding[] {
    return [
      ...this.#findings,
      ...[...this.#comparisons.values()].flatMap((comparison) => comparison.findings),
    ];
  }
}

/** Expected arrays by output name. E_USAGE if not one of them is an output. */
export function expectedOutputs(
  file: ArrayFile,
  outputs: readonly string[],
): { readonly expected: ReadonlyMap<string, TensorSource>; readonly findings: Finding[] } {
  const expected = matchNames(outputs, file.arrays, { inOrder: true });
  if (expected.size === 0) throw missingArrays(file, 'output', outputs);
  const used = new Set([...expected.values()].map((array) => array.info.name));
  const unused = [...file.arrays.keys()].filter((name) => !used.has(name));
  return {
    expected,
    findings: unused.map((name) =>
      finding(
        'warning',
        'EXPECTED_UNUSED',
        name,
        `${file.name} holds an array that is no output of the graph`,
      ),
    ),
  };
}

/** The rows of an expected array that belong to a slice, seen with the rank of the output. */
async function loadExpected(array: TensorSource, own: Value, slice: Slice | undefined): Promise<Value> {
  const { dtype, shape } = array.info;
  const type = valueType(dtype);
  if (type === undefined || type === 'string') return { type: 'string', dims: shape, data: [] };
  const rows = shape[0] ?? 1;
  const rowBytes = rows === 0 ? 0 : array.byteLength / rows;
  // An output may have several rows per sample.
  const perSample = slice && own.dims[0] !== undefined ? own.dims[0] / slice.count : 1;
  const first = slice ? slice.start * perSample : 0;
  const count = slice ? Math.max(0, Math.min(rows - first, slice.count * perSample)) : rows;
  const range = slice
    ? { start: first * rowBytes, end: (first + count) * rowBytes }
    : { start: 0, end: array.byteLength };
  const bytes = new Uint8Array(Math.max(0, range.end - range.start));
  let at = 0;
  if (bytes.byteLength > 0)
    for await (const chunk of array.stream(range)) {
      bytes.set(chunk, at);
      at += chunk.byteLength;
    }
  return { type, dims: slice ? [count, ...shape.slice(1)] : shape, data: viewAs(type, bytes) };
}
