import type { DType } from '../../core/dtype.js';
import { isDType } from '../../core/dtype.js';
import { firstVersion } from '../../formats/onnx/operators.js';
import { OPERATOR_HISTORY } from './history-table.js';

/** Names for sets of types that came together. */
const GROUPS: ReadonlyMap<string, readonly string[]> = new Map([
  ['float8', ['f8_e4m3fn', 'f8_e4m3fnuz', 'f8_e5m2', 'f8_e5m2fnuz']],
  ['float6', ['f6_e2m3', 'f6_e3m2']],
  ['int4', ['i4', 'u4']],
  ['int2', ['i2', 'u2']],
  ['small', ['i8', 'i16', 'u8', 'u16']],
  ['wide', ['i32', 'i64', 'u32', 'u64']],
]);

/** The type of an input or output. */
export interface Parameter {
  /** A type variable (`T`, `T1`, `Tind`, …), or a fixed type. */
  readonly variable?: string;
  readonly fixed?: DType;
  /** Takes any number of values: of one type, or each of its own. */
  readonly many?: 'alike' | 'mixed';
}

/** Types that a version let a variable take, or no longer lets it. */
export interface TypeChange {
  readonly variable: string;
  readonly added: ReadonlySet<string>;
  readonly removed: ReadonlySet<string>;
}

/** A version that changed an operator. */
export interface Change {
  readonly version: number;
  /** More than types: an adapter is needed. */
  readonly signature: boolean;
  readonly types: readonly TypeChange[];
}

export interface OperatorHistory {
  readonly name: string;
  /** The version that brought it. */
  readonly first: number;
  readonly inputs: readonly Parameter[];
  readonly outputs: readonly Parameter[];
  /** Oldest first, all after version 7. */
  readonly changes: readonly Change[];
}

let histories: ReadonlyMap<string, OperatorHistory> | undefined;

/** The history of an operator of the default domain; undefined if ONNX has none of that name. */
export function historyOf(operator: string): OperatorHistory | undefined {
  histories ??= new Map(
    OPERATOR_HISTORY.trim()
      .split('\n')
      .map((line) => parseLine(line))
      .map((history) => [history.name, history]),
  );
  return histories.get(operator);
}

/** Names of all operators in the table. */
export function operatorNames(): readonly string[] {
  return OPERATOR_HISTORY.trim()
    .split('\n')
    .map((line) => line.split(' ')[0] ?? '');
}

/** The parameter at a place in a list; the last one may stand for many. */
export function parameterAt(list: readonly Parameter[], index: number): Parameter | undefined {
  const last = list.at(-1);
  return list[index] ?? (last?.many ? last : undefined);
}

function parseLine(line: string): OperatorHistory {
  const [name = '', signature = '', ...changes] = line.split(' ');
  const [inputs = '', outputs = ''] = signature.split('>');
  const first = firstVersion('', name);
  return {
    name,
    first: typeof first === 'number' ? first : 1,
    inputs: parseParameters(inputs),
    outputs: parseParameters(outputs),
    changes: changes.map(parseChange),
  };
}

const parseParameters = (text: string): Parameter[] =>
  text === '' ? [] : text.split(',').map(parseParameter);

function parseParameter(text: string): Parameter {
  const many = text.endsWith('*') ? 'alike' : text.endsWith('+') ? 'mixed' : undefined;
  const type = many ? text.slice(0, -1) : text;
  return {
    ...(isDType(type) ? { fixed: type } : { variable: type }),
    ...(many ? { many } : {}),
  };
}

function parseChange(text: string): Change {
  const [, version = '', mark = '', types = ''] = /^(\d+)(!?)(.*)$/.exec(text) ?? [];
  return {
    version: Number(version),
    signature: mark === '!',
    types: types === '' ? [] : types.split('/').map(parseTypes),
  };
}

function parseTypes(text: string): TypeChange {
  const [, variable = '', sign = '', list = ''] = /^(\w*)([+-])(.*)$/.exec(text) ?? [];
  const types = new Set(list.split(',').flatMap((type) => GROUPS.get(type) ?? [type]));
  const none = new Set<string>();
  return {
    variable: variable === '' ? 'T' : variable,
    added: sign === '+' ? types : none,
    removed: sign === '-' ? types : none,
  };
}
