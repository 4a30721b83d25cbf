import { LIMITS } from '../../core/limits.js';
import { type Details, MlserError, malformed } from '../../errors.js';
import { Cursor, decodeUtf8, safeNumber } from '../../io/cursor.js';
import {
  byteString,
  decimalFloat,
  decimalInt,
  latin1,
  littleEndianInt,
  MAX_INT_BYTES,
  pickleUnicode,
  quotedString,
  unescapePython,
} from './pickle-text.js';
import { PyDict, PyList, PyObject, PySet, PyTuple, type PyValue } from './values.js';

/** What names and calls of a pickle mean. Every method gives data; none runs anything that the file names. */
export interface PickleMeaning {
  global(module: string, name: string): PyValue;
  /** `callable(*args)`. */
  call(callable: PyValue, args: PyTuple): PyValue;
  /** `cls.__new__(cls, *args)`. */
  instance(cls: PyValue, args: PyTuple): PyValue;
  /** `object.__setstate__(state)`. */
  build(object: PyValue, state: PyValue): void;
  persistent(id: PyValue): PyValue;
}

export interface Unpickled {
  readonly value: PyValue;
  /** Bytes read, STOP included. */
  readonly length: number;
  readonly protocol: number;
}

/**
 * Interprets one pickle of any protocol (0 to 5) as data. The stack machine is Python's (pickletools.py is its
 * description); nothing is imported or called. E_MALFORMED, E_TRUNCATED, E_LIMIT, E_UNSUPPORTED with the offset;
 * whatever `meaning` throws, with the offset added.
 */
export function unpickle(bytes: Uint8Array, name: string, meaning: PickleMeaning, start = 0): Unpickled {
  const machine = new Machine(bytes, name, meaning, start);
  const value = machine.run();
  return { value, length: machine.input.at - start, protocol: machine.protocol };
}

class Machine {
  readonly input: Cursor;
  readonly memo = new Map<number, PyValue>();
  protocol = 0;
  readonly #stack: PyValue[] = [];
  readonly #marks: number[] = [];
  #pushed = 0;
  #at = 0;
  #opcode: Opcode | undefined;

  constructor(
    readonly bytes: Uint8Array,
    readonly name: string,
    readonly meaning: PickleMeaning,
    start: number,
  ) {
    this.input = new Cursor(bytes, name, { at: start });
  }

  run(): PyValue {
    try {
      for (;;) {
        this.#at = this.input.at;
        this.#opcode = undefined;
        if (this.input.remaining === 0)
          throw new MlserError(
            'E_TRUNCATED',
            `${this.name}: the pickle ends at byte ${this.#at} without STOP`,
            {
              hint: 'the file looks incomplete: download or copy it again',
            },
          );
        const code = this.input.u8();
        if (code === STOP) return this.pop();
        this.#opcode = OPCODES[code];
        if (!this.#opcode) throw this.bad(`byte 0x${code.toString(16).padStart(2, '0')} is no pickle opcode`);
        this.#opcode.run(this);
      }
    } catch (error) {
      throw error instanceof MlserError ? error.with({ file: this.name, offset: this.#at }) : error;
    }
  }

  bad(what: string, details: Details = {}): MlserError {
    const opcode = this.#opcode ? ` (${this.#opcode.name})` : '';
    return malformed(
      `${this.name}: broken pickle at offset ${this.#at}${opcode}: ${what}`,
      { file: this.name, offset: this.#at, ...details },
      'the file is damaged, or is not what its name says',
    );
  }

  push(value: PyValue): void {
    if (++this.#pushed > LIMITS.PICKLE_OBJECTS)
      throw new MlserError(
        'E_LIMIT',
        `${this.name}: more than ${LIMITS.PICKLE_OBJECTS} objects in one pickle`,
        {
          details: { limit: 'PICKLE_OBJECTS', file: this.name },
        },
      );
    this.#stack.push(value);
  }
  pop(): PyValue {
    const value = this.top();
    this.#stack.pop();
    return value;
  }
  top(): PyValue {
    const value = this.#stack.length > (this.#marks.at(-1) ?? 0) ? this.#stack.at(-1) : undefined;
    if (value === undefined) throw this.bad('the stack is empty');
    return value;
  }
  mark(): void {
    this.#marks.push(this.#stack.length);
  }
  /** Everything above the last mark, which is removed. */
  popToMark(): PyValue[] {
    const at = this.#marks.pop();
    if (at === undefined) throw this.bad('there is no mark on the stack');
    return this.#stack.splice(at);
  }
  /** POP on a bare mark removes the mark. */
  discard(): void {
    if (this.#marks.length > 0 && this.#stack.length === this.#marks.at(-1)) this.#marks.pop();
    else this.pop();
  }

  /** Text up to the next newline, one character a byte. */
  line(): Uint8Array {
    const end = this.bytes.indexOf(0x0a, this.input.at);
    if (end < 0)
      throw new MlserError('E_TRUNCATED', `${this.name}: a text argument at offset ${this.#at} has no end`, {
        details: { file: this.name, offset: this.#at },
      });
    const text = this.input.bytes(end - this.input.at);
    this.input.u8();
    return text;
  }
  length8(): number {
    const length = this.input.u64big();
    return safeNumber(length, `${this.name}: length at offset ${this.#at}`);
  }
  i32Length(): number {
    const length = this.input.i32();
    if (length < 0) throw this.bad(`length ${length} is negative`);
    return length;
  }
  unicode(length: number): string {
    const text = pickleUnicode(this.input.bytes(length));
    if (text === undefined) throw this.bad('the text is not UTF-8');
    return text;
  }
  longInt(length: number): bigint {
    if (length > MAX_INT_BYTES) throw this.bad(`an integer of ${length} bytes`);
    return littleEndianInt(this.input.bytes(length));
  }
  tuple(): PyTuple {
    const args = this.pop();
    if (!(args instanceof PyTuple)) throw this.bad('arguments must be a tuple');
    return args;
  }
  name8(bytes: Uint8Array): string {
    const text = decodeUtf8(bytes);
    if (text === undefined) throw this.bad('a name is not UTF-8');
    return text;
  }
  get(index: number): void {
    const value = this.memo.get(index);
    if (value === undefined) throw this.bad(`memo entry ${index} was never stored`);
    this.push(value);
  }
  memoIndex(): number {
    const index = decimalInt(latin1(this.line()));
    if (index === undefined || index < 0n || index > 0xffffffffn) throw this.bad('not a memo index');
    return Number(index);
  }
  append(items: readonly PyValue[]): void {
    const list = this.top();
    if (!(list instanceof PyList || list instanceof PyObject))
      throw this.bad('items can only be added to a list');
    for (const item of items) list.items.push(item);
  }
  setItems(pairs: readonly PyValue[]): void {
    const target = this.top();
    const dict = target instanceof PyObject ? target.dict : target;
    if (!(dict instanceof PyDict)) throw this.bad('items can only be set in a dictionary');
    this.fill(dict, pairs);
  }
  fill(dict: PyDict, pairs: readonly PyValue[]): PyDict {
    if (pairs.length % 2 !== 0) throw this.bad('a key has no value');
    for (let i = 0; i < pairs.length; i += 2) dict.set(pairs[i] ?? null, pairs[i + 1] ?? null);
    return dict;
  }
}

interface Opcode {
  readonly name: string;
  readonly run: (vm: Machine) => void;
}

const STOP = 0x2e;
const op = (name: string, run: (vm: Machine) => void): Opcode => ({ name, run });
const refused = (name: string, what: string): Opcode =>
  op(name, (vm) => {
    throw new MlserError('E_UNSUPPORTED', `${vm.name}: ${what}`, { details: { opcode: name } });
  });

/** The pickle opcodes by their byte. */
const TABLE: Readonly<Record<number, Opcode>> = {
  // stack
  40: op('MARK', (vm) => vm.mark()),
  48: op('POP', (vm) => vm.discard()),
  49: op('POP_MARK', (vm) => void vm.popToMark()),
  50: op('DUP', (vm) => vm.push(vm.top())),
  // constants and numbers
  78: op('NONE', (vm) => vm.push(null)),
  136: op('NEWTRUE', (vm) => vm.push(true)),
  137: op('NEWFALSE', (vm) => vm.push(false)),
  73: op('INT', (vm) => {
    const text = latin1(vm.line());
    if (text === '00' || text === '01') return vm.push(text === '01');
    const value = decimalInt(text);
    if (value === undefined) throw vm.bad('not an integer');
    vm.push(value);
  }),
  76: op('LONG', (vm) => {
    const value = decimalInt(latin1(vm.line()).replace(/L$/, ''));
    if (value === undefined) throw vm.bad('not an integer');
    vm.push(value);
  }),
  74: op('BININT', (vm) => vm.push(BigInt(vm.input.i32()))),
  75: op('BININT1', (vm) => vm.push(BigInt(vm.input.u8()))),
  77: op('BININT2', (vm) => vm.push(BigInt(vm.input.u16()))),
  138: op('LONG1', (vm) => vm.push(vm.longInt(vm.input.u8()))),
  139: op('LONG4', (vm) => vm.push(vm.longInt(vm.i32Length()))),
  70: op('FLOAT', (vm) => {
    const value = decimalFloat(latin1(vm.line()));
    if (value === undefined) throw vm.bad('not a number');
    vm.push(value);
  }),
  71: op('BINFLOAT', (vm) => vm.push(vm.input.f64be())),
  // text and bytes
  83: op('STRING', (vm) => {
    const text = quotedString(latin1(vm.line()));
    if (text === undefined) throw vm.bad('a string without quotes');
    vm.push(text);
  }),
  84: op('BINSTRING', (vm) => vm.push(byteString(vm.input.bytes(vm.i32Length())))),
  85: op('SHORT_BINSTRING', (vm) => vm.push(byteString(vm.input.bytes(vm.input.u8())))),
  86: op('UNICODE', (vm) => vm.push(unescapePython(latin1(vm.line()), 'uU'))),
  88: op('BINUNICODE', (vm) => vm.push(vm.unicode(vm.input.u32()))),
  140: op('SHORT_BINUNICODE', (vm) => vm.push(vm.unicode(vm.input.u8()))),
  141: op('BINUNICODE8', (vm) => vm.push(vm.unicode(vm.length8()))),
  66: op('BINBYTES', (vm) => vm.push(vm.input.bytes(vm.input.u32()))),
  67: op('SHORT_BINBYTES', (vm) => vm.push(vm.input.bytes(vm.input.u8()))),
  142: op('BINBYTES8', (vm) => vm.push(vm.input.bytes(vm.length8()))),
  150: op('BYTEARRAY8', (vm) => vm.push(vm.input.bytes(vm.length8()))),
  151: refused('NEXT_BUFFER', 'the pickle needs a buffer outside the file'),
  152: refused('READONLY_BUFFER', 'the pickle needs a buffer outside the file'),
  // containers
  93: op('EMPTY_LIST', (vm) => vm.push(new PyList())),
  108: op('LIST', (vm) => vm.push(new PyList(vm.popToMark()))),
  97: op('APPEND', (vm) => vm.append([vm.pop()])),
  101: op('APPENDS', (vm) => vm.append(vm.popToMark())),
  41: op('EMPTY_TUPLE', (vm) => vm.push(new PyTuple())),
  116: op('TUPLE', (vm) => vm.push(new PyTuple(vm.popToMark()))),
  133: op('TUPLE1', (vm) => vm.push(new PyTuple([vm.pop()]))),
  134: op('TUPLE2', (vm) => {
    const b = vm.pop();
    vm.push(new PyTuple([vm.pop(), b]));
  }),
  135: op('TUPLE3', (vm) => {
    const c = vm.pop();
    const b = vm.pop();
    vm.push(new PyTuple([vm.pop(), b, c]));
  }),
  125: op('EMPTY_DICT', (vm) => vm.push(new PyDict())),
  100: op('DICT', (vm) => vm.push(vm.fill(new PyDict(), vm.popToMark()))),
  115: op('SETITEM', (vm) => {
    const value = vm.pop();
    const key = vm.pop();
    vm.setItems([key, value]);
  }),
  117: op('SETITEMS', (vm) => vm.setItems(vm.popToMark())),
  143: op('EMPTY_SET', (vm) => vm.push(new PySet())),
  145: op('FROZENSET', (vm) => vm.push(new PySet(vm.popToMark()))),
  144: op('ADDITEMS', (vm) => {
    const items = vm.popToMark();
    const set = vm.top();
    if (!(set instanceof PySet)) throw vm.bad('items can only be added to a set');
    for (const item of items) set.items.push(item);
  }),
  // memo
  103: op('GET', (vm) => vm.get(vm.memoIndex())),
  104: op('BINGET', (vm) => vm.get(vm.input.u8())),
  106: op('LONG_BINGET', (vm) => vm.get(vm.input.u32())),
  112: op('PUT', (vm) => void vm.memo.set(vm.memoIndex(), vm.top())),
  113: op('BINPUT', (vm) => void vm.memo.set(vm.input.u8(), vm.top())),
  114: op('LONG_BINPUT', (vm) => void vm.memo.set(vm.input.u32(), vm.top())),
  148: op('MEMOIZE', (vm) => void vm.memo.set(vm.memo.size, vm.top())),
  // names, calls, objects
  99: op('GLOBAL', (vm) => {
    const module = vm.name8(vm.line());
    vm.push(vm.meaning.global(module, vm.name8(vm.line())));
  }),
  147: op('STACK_GLOBAL', (vm) => {
    const name = vm.pop();
    const module = vm.pop();
    if (typeof name !== 'string' || typeof module !== 'string') throw vm.bad('a name must be two strings');
    vm.push(vm.meaning.global(module, name));
  }),
  82: op('REDUCE', (vm) => {
    const args = vm.tuple();
    vm.push(vm.meaning.call(vm.pop(), args));
  }),
  129: op('NEWOBJ', (vm) => {
    const args = vm.tuple();
    vm.push(vm.meaning.instance(vm.pop(), args));
  }),
  146: op('NEWOBJ_EX', (vm) => {
    const named = vm.pop();
    const args = vm.tuple();
    const all = named instanceof PyDict && named.entries.length > 0 ? [...args.items, named] : args.items;
    vm.push(vm.meaning.instance(vm.pop(), new PyTuple(all)));
  }),
  105: op('INST', (vm) => {
    const module = vm.name8(vm.line());
    const cls = vm.meaning.global(module, vm.name8(vm.line()));
    vm.push(vm.meaning.instance(cls, new PyTuple(vm.popToMark())));
  }),
  111: op('OBJ', (vm) => {
    const [cls, ...args] = vm.popToMark();
    if (cls === undefined) throw vm.bad('there is no class');
    vm.push(vm.meaning.instance(cls, new PyTuple(args)));
  }),
  98: op('BUILD', (vm) => {
    const state = vm.pop();
    vm.meaning.build(vm.top(), state);
  }),
  80: op('PERSID', (vm) => vm.push(vm.meaning.persistent(vm.name8(vm.line())))),
  81: op('BINPERSID', (vm) => vm.push(vm.meaning.persistent(vm.pop()))),
  130: refused('EXT1', 'it uses the extension registry of the program that wrote it'),
  131: refused('EXT2', 'it uses the extension registry of the program that wrote it'),
  132: refused('EXT4', 'it uses the extension registry of the program that wrote it'),
  // framing
  128: op('PROTO', (vm) => {
    const protocol = vm.input.u8();
    if (protocol > 5) throw vm.bad(`protocol ${protocol} is unknown, the highest is 5`);
    vm.protocol = protocol;
  }),
  149: op('FRAME', (vm) => {
    const length = vm.input.u64big();
    if (length > BigInt(vm.input.remaining))
      throw new MlserError(
        'E_TRUNCATED',
        `${vm.name}: a frame of ${length} bytes where ${vm.input.remaining} are left`,
        { details: { needed: length.toString(), available: vm.input.remaining } },
      );
  }),
};
const OPCODES: readonly (Opcode | undefined)[] = Array.from({ length: 256 }, (_, code) => TABLE[code]);
