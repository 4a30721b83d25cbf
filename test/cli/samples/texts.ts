/** The same report with every text of it (keys of maps too) replaced, apart from the words the tool itself chose. */
export function withTexts<T>(report: T, text: string): T {
  const walk = (value: unknown): unknown => {
    if (typeof value === 'string') return OWN.has(value) ? value : text + value;
    if (Array.isArray(value)) return value.map(walk);
    if (typeof value !== 'object' || value === null) return value;
    const entries = Object.entries(value).map(([key, field]) => [
      FREE.test(key) ? key : text + key,
      walk(field),
    ]);
    return Object.fromEntries(entries);
  };
  return walk(report) as T;
}

const OWN = new Set([
  'faster',
  'unknown',
  'max-p95',
  'max-size',
  'min-accuracy',
  'error',
  'warning',
  'info',
  'run',
  'dtype',
  'shape',
  'values',
  'file',
  'tensor',
  'content',
]);

/** Field names of the reports themselves: everything that is a plain identifier and no operator or domain. */
const FREE = /^(?!Op\d|com\.)[a-z][a-zA-Z0-9]*$/;
