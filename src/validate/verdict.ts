import type { Finding } from '../errors.js';
import type { GateResult, TensorErrorMetrics, ValidationLevel, ValidationReport } from './report.js';

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** Gathers what the steps of the gate find. One finding of severity error is a no. */
export class Verdict {
  readonly report: Writable<ValidationReport>;
  tensorErrors: ReadonlyMap<string, TensorErrorMetrics> = new Map();
  readonly #findings: Finding[] = [];

  constructor(level: ValidationLevel, device: string) {
    this.report = { level, device, passed: true };
  }

  add(findings: readonly Finding[]): void {
    this.#findings.push(...findings);
    if (findings.some(({ severity }) => severity === 'error')) this.report.passed = false;
  }

  get passed(): boolean {
    return this.report.passed;
  }

  result(): GateResult {
    return {
      report: jsonSafe(this.report),
      findings: this.#findings,
      tensorErrors: new Map([...this.tensorErrors].map(([name, error]) => [name, jsonSafe(error)])),
    };
  }
}

/** JSON has no infinities: the largest double stands for them. */
function jsonSafe<T>(value: T): T {
  if (typeof value === 'number') return finite(value) as T;
  if (Array.isArray(value)) return value.map(jsonSafe) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, jsonSafe(item)])) as T;
}

const finite = (value: number): number =>
  Number.isFinite(value) ? value : value < 0 ? -Number.MAX_VALUE : Number.MAX_VALUE;
