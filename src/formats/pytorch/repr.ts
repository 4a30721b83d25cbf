import {
  NumpyArray,
  NumpyDType,
  PyComplex,
  PyDict,
  PyDType,
  PyGlobal,
  PyList,
  PyNamed,
  PyObject,
  PySet,
  PyTuple,
  type PyValue,
} from './values.js';

/** A float as Python's repr writes it: shortest digits, `1e-05`, `1.0`, `inf`. */
export function floatRepr(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (Object.is(value, -0)) return '-0.0';
  const [digits = '0', exponent = '0'] = value.toExponential().split('e');
  const power = Number(exponent);
  if (value !== 0 && (power < -4 || power >= 16))
    return `${digits}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`;
  const plain = Number.isInteger(value) ? BigInt(value).toString() : value.toString();
  if (/e/.test(plain)) return value.toFixed(20).replace(/0+$/, '');
  return /\./.test(plain) ? plain : `${plain}.0`;
}

/** Text in Python's quotes. */
function stringRepr(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = text.replace(
    /[\\\n\r\t]/g,
    (c) => ({ '\\': '\\\\', '\n': '\\n', '\r': '\\r' })[c] ?? '\\t',
  );
  return quote + (quote === "'" ? escaped.replaceAll("'", "\\'") : escaped) + quote;
}

const bytesRepr = (bytes: Uint8Array): string =>
  `b'${Array.from(bytes, (b) => (b >= 0x20 && b < 0x7f && b !== 0x27 && b !== 0x5c ? String.fromCharCode(b) : `\\x${b.toString(16).padStart(2, '0')}`)).join('')}'`;

/**
 * The value as Python would print it, shortened: at most about `budget` characters and a few levels, so that a
 * shared or self-referring structure cannot blow up.
 */
export function pyRepr(value: PyValue, budget = 1000, depth = 6): string {
  if (budget <= 0 || depth <= 0) return '…';
  const many = (items: readonly PyValue[], open: string, close: string): string => {
    let out = open;
    for (const [i, item] of items.entries()) {
      if (out.length > budget) return `${out}, …${close}`;
      out += (i > 0 ? ', ' : '') + pyRepr(item, budget - out.length, depth - 1);
    }
    return out + close;
  };
  if (value === null) return 'None';
  switch (typeof value) {
    case 'boolean':
      return value ? 'True' : 'False';
    case 'bigint':
      return value.toString();
    case 'number':
      return floatRepr(value);
    case 'string':
      return stringRepr(value.length > budget ? `${value.slice(0, budget)}…` : value);
    default:
  }
  if (value instanceof Uint8Array) return bytesRepr(value.subarray(0, budget));
  if (value instanceof PyTuple)
    return value.items.length === 1
      ? `(${pyRepr(value.items[0] ?? null, budget, depth - 1)},)`
      : many(value.items, '(', ')');
  if (value instanceof PyList) return many(value.items, '[', ']');
  if (value instanceof PySet) return value.items.length === 0 ? 'set()' : many(value.items, '{', '}');
  if (value instanceof PyDict) {
    let out = '{';
    for (const [i, [key, item]] of value.entries.entries()) {
      if (out.length > budget) return `${out}, …}`;
      const left = budget - out.length;
      out += `${i > 0 ? ', ' : ''}${pyRepr(key, left, depth - 1)}: ${pyRepr(item, left, depth - 1)}`;
    }
    return `${out}}`;
  }
  if (value instanceof PyComplex) return `(${value.re}${value.im < 0 ? '-' : '+'}${Math.abs(value.im)}j)`;
  if (value instanceof PyGlobal) return value.path;
  if (value instanceof PyDType) return `torch.${value.type.torch}`;
  if (value instanceof PyNamed) return value.text;
  if (value instanceof PyObject)
    return `${value.cls.path}${pyRepr(value.args, budget - value.cls.path.length, depth - 1)}`;
  if (value instanceof NumpyDType) return `dtype('${value.order}${value.code}')`;
  if (value instanceof NumpyArray) return `array(shape=[${value.shape.join(', ')}])`;
  return '<tensor>';
}

/** A key as a part of a dotted name: text as it is, everything else as Python prints it. */
export const keyName = (key: PyValue): string => (typeof key === 'string' ? key : pyRepr(key, 4000, 20));
