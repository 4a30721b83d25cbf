/** Sizes and counts as a person reads them. */

const DECIMAL = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const;

/** Three significant digits, without useless zeros. */
const three = (value: number): string => String(Number(value.toPrecision(3)));

/** Bytes in decimal units, as disks, the Hub and `ls --si` count them: `1.34 GB`. */
export function size(bytes: number): string {
  let value = Math.abs(bytes);
  let unit = 0;
  while (value >= 999.5 && unit < DECIMAL.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${bytes < 0 ? '-' : ''}${unit === 0 ? value : three(value)} ${DECIMAL[unit]}`;
}

/** `1234567` → `1,234,567`. */
export const grouped = (value: number): string =>
  Number.isSafeInteger(value) ? String(value).replace(/\B(?=(\d{3})+$)/g, ',') : String(value);

/** `335141888` → `335M`; small counts are exact. */
export function count(value: number): string {
  if (value < 100_000) return grouped(value);
  for (const [unit, name] of [
    [1e12, 'T'],
    [1e9, 'B'],
    [1e6, 'M'],
    [1e3, 'k'],
  ] as const)
    if (value >= unit * 0.9995) return `${three(value / unit)}${name}`;
  return String(value);
}

export const percent = (fraction: number): string => {
  if (!Number.isFinite(fraction)) return '–';
  const value = fraction * 100;
  if (value > 0 && value < 0.1) return '<0.1 %';
  return `${value < 99.95 && value > 0 ? value.toFixed(1) : String(Math.round(value))} %`;
};

/** A measured figure: short, exact enough to compare. `null` and missing values are a dash. */
export function figure(value: number | string | null | undefined): string {
  if (value === null || value === undefined) return '–';
  if (typeof value === 'string') return value;
  if (value === 0 || !Number.isFinite(value)) return Object.is(value, -0) ? '0' : String(value);
  const magnitude = Math.abs(value);
  if (Number.isInteger(value) && magnitude < 1e7) return String(value);
  return magnitude >= 1e-3 && magnitude < 1e6
    ? String(Number(value.toPrecision(4)))
    : value.toExponential(2).replace('e+', 'e');
}

export const shape = (dims: readonly (number | string | null)[] | null | undefined): string =>
  dims ? `[${dims.map((dim) => dim ?? '?').join(', ')}]` : '?';

/** `1 tensor`, `2 tensors`. */
export const plural = (value: number, noun: string, nouns = `${noun}s`): string =>
  `${grouped(value)} ${value === 1 ? noun : nouns}`;

/** `0.42 s`, `3:07 min`. */
export function duration(seconds: number): string {
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(2) : seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')} min`;
}

/** What a ratio of before to after means. */
export function change(ratio: number): string {
  if (ratio >= 1.005) return `${figure(ratio)} times smaller`;
  return ratio > 0 && ratio <= 0.995 ? `${figure(1 / ratio)} times larger` : 'the same size';
}
