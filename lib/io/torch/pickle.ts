import { describe, fail } from '../../errors.js';
import { PickleReader } from './pickle-reader.js';
import { Refusal } from './refusal.js';

/** Instructions that push the value they spell out. */
const literals = new Map<number, (reader: PickleReader) => unknown>([
  [0x4e, () => null],
  [0x88, () => true],
  [0x89, () => false],
  [0x4a, (reader) => reader.i32()],
  [0x4b, (reader) => reader.u8()],
  [0x4d, (reader) => reader.u16()],
  [0x8a, (reader) => reader.integer(reader.u8())],
  [0x8b, (reader) => reader.integer(reader.i32())],
  [0x47, (reader) => reader.f64()],
  [0x58, (reader) => reader.text(reader.u32())],
  [0x8c, (reader) => reader.text(reader.u8())],
  [0x8d, (reader) => reader.text(reader.size64())],
  // Strings of Python 2.
  [0x54, (reader) => reader.text(reader.u32())],
  [0x55, (reader) => reader.text(reader.u8())],
  [0x42, (reader) => reader.bytes(reader.u32()).slice()],
  [0x43, (reader) => reader.bytes(reader.u8()).slice()],
  [0x8e, (reader) => reader.bytes(reader.size64()).slice()],
  [0x96, (reader) => reader.bytes(reader.size64()).slice()],
]);

/** The other instructions, by the names that Python gives them. */
const code = {
  MARK: 0x28,
  EMPTY_TUPLE: 0x29,
  STOP: 0x2e,
  POP: 0x30,
  POP_MARK: 0x31,
  DUP: 0x32,
  BINPERSID: 0x51,
  REDUCE: 0x52,
  EMPTY_LIST: 0x5d,
  APPEND: 0x61,
  BUILD: 0x62,
  GLOBAL: 0x63,
  DICT: 0x64,
  APPENDS: 0x65,
  BINGET: 0x68,
  LONG_BINGET: 0x6a,
  LIST: 0x6c,
  BINPUT: 0x71,
  LONG_BINPUT: 0x72,
  SETITEM: 0x73,
  TUPLE: 0x74,
  SETITEMS: 0x75,
  EMPTY_DICT: 0x7d,
  PROTO: 0x80,
  NEWOBJ: 0x81,
  TUPLE1: 0x85,
  TUPLE2: 0x86,
  TUPLE3: 0x87,
  EMPTY_SET: 0x8f,
  ADDITEMS: 0x90,
  FROZENSET: 0x91,
  STACK_GLOBAL: 0x93,
  MEMOIZE: 0x94,
  FRAME: 0x95,
} as const;

/** What a pickle may name: plain values, and functions of this library's own. No code of the pickle is ever run. */
export interface PickleWorld {
  /** The value of a global; throws for any that is not allowed. */
  global(module: string, name: string): unknown;
  /** What a persistent id stands for. */
  persistent(id: unknown): unknown;
}

/** A global that a pickle may call. */
export class PickleFunction {
  readonly name: string;
  readonly call: (args: readonly unknown[]) => unknown;

  constructor(name: string, call: (args: readonly unknown[]) => unknown) {
    this.name = name;
    this.call = call;
  }
}

/** Bounds on what a pickle of a few bytes can make. */
const most = { stack: 1 << 21, containers: 1 << 19, memo: 1 << 20, marks: 10_000 };

/**
 * Reads one pickle (protocols 2 to 5): dictionaries become Maps, lists and tuples arrays (tuples frozen), sets Sets, integers
 * numbers or, past 2^53, bigints. Throws ERR_FORMAT, naming `what` and the byte, for everything else.
 */
export class Unpickler {
  readonly #reader: PickleReader;
  readonly #what: string;
  readonly #world: PickleWorld;
  #stack: unknown[] = [];
  readonly #outer: unknown[][] = [];
  #memo: unknown[] = [];
  #containers = 0;
  #depth = 0;

  constructor(bytes: Uint8Array, what: string, world: PickleWorld) {
    this.#reader = new PickleReader(bytes);
    this.#what = what;
    this.#world = world;
  }

  /** Bytes read so far: after {@link load}, where the next pickle begins. */
  get position(): number {
    return this.#reader.at;
  }

  /** The next pickle of the bytes. Throws PickleTruncated where they end before it does. */
  load(): unknown {
    const reader = this.#reader;
    this.#stack = [];
    this.#outer.length = 0;
    this.#memo = [];
    for (;;) {
      const at = reader.at;
      const opcode = reader.u8();
      if (opcode === code.STOP) {
        if (this.#stack.length !== 1 || this.#outer.length > 0) this.#bad(at, 'ends with more or less than one value');
        return this.#stack.pop();
      }
      try {
        this.#step(opcode, at);
      } catch (error) {
        if (error instanceof Refusal) this.#bad(at, error.message);
        throw error;
      }
      if (this.#stack.length > most.stack || this.#containers > most.containers) this.#bad(at, 'makes more values than any checkpoint holds');
    }
  }

  #bad(at: number, message: string): never {
    fail('ERR_FORMAT', `${this.#what}: byte ${at}: ${message}`);
  }

  #push(value: unknown): void {
    this.#stack.push(value);
  }

  #pop(): unknown {
    if (this.#stack.length === 0) throw new Refusal('takes a value from an empty stack');
    return this.#stack.pop();
  }

  #top(): unknown {
    if (this.#stack.length === 0) throw new Refusal('takes a value from an empty stack');
    return this.#stack[this.#stack.length - 1];
  }

  /** The values since the last mark. */
  #sinceMark(): unknown[] {
    const items = this.#stack;
    const before = this.#outer.pop();
    if (!before) throw new Refusal('has no mark where it needs one');
    this.#depth -= before.length;
    this.#stack = before;
    return items;
  }

  /** A value that takes memory of its own is counted. */
  #counted<T>(value: T): T {
    if (typeof value === 'object' && value !== null) this.#containers++;
    return value;
  }

  #remember(index: number): void {
    if (index >= most.memo) throw new Refusal(`stores value ${index}; at most ${most.memo} are allowed`);
    this.#memo[index] = this.#top();
  }

  #recall(index: number): void {
    const value = this.#memo[index];
    if (value === undefined) throw new Refusal(`recalls value ${index}, which it never stored`);
    this.#push(value);
  }

  #tuple(length: number): void {
    if (this.#stack.length < length) throw new Refusal('takes a value from an empty stack');
    this.#push(this.#counted(Object.freeze(this.#stack.splice(this.#stack.length - length))));
  }

  #append(items: readonly unknown[]): void {
    const list = this.#top();
    if (!Array.isArray(list) || Object.isFrozen(list)) throw new Refusal(`appends to ${describe(list)}, which is no list`);
    for (const item of items) list.push(item);
  }

  #setItems(items: readonly unknown[]): void {
    const dictionary = this.#top();
    if (!(dictionary instanceof Map)) throw new Refusal(`sets an item of ${describe(dictionary)}, which is no dictionary`);
    if (items.length % 2 !== 0) throw new Refusal('sets an item without a value');
    for (let i = 0; i < items.length; i += 2) dictionary.set(items[i], items[i + 1]);
  }

  #call(callable: unknown, args: unknown): unknown {
    if (!(callable instanceof PickleFunction)) throw new Refusal(`calls ${describe(callable)}, which is no function`);
    if (!Array.isArray(args)) throw new Refusal(`calls ${callable.name} with ${describe(args)}; arguments come as a tuple`);
    return callable.call(args);
  }

  #step(opcode: number, at: number): void {
    const reader = this.#reader;
    const literal = literals.get(opcode);
    if (literal) {
      this.#push(this.#counted(literal(reader)));
      return;
    }
    switch (opcode) {
      case code.PROTO: {
        const protocol = reader.u8();
        if (protocol < 2 || protocol > 5) throw new Refusal(`has pickle protocol ${protocol}; protocols 2 to 5 are known`);
        return;
      }
      case code.FRAME:
        reader.size64();
        return;
      case code.MARK:
        if (this.#outer.length >= most.marks) throw new Refusal('nests its marks deeper than any checkpoint does');
        this.#depth += this.#stack.length;
        if (this.#depth > most.stack) throw new Refusal('makes more values than any checkpoint holds');
        this.#outer.push(this.#stack);
        this.#stack = [];
        return;
      case code.POP:
        if (this.#stack.length === 0) this.#sinceMark();
        else this.#stack.pop();
        return;
      case code.POP_MARK:
        this.#sinceMark();
        return;
      case code.DUP:
        this.#push(this.#top());
        return;
      case code.EMPTY_LIST:
        this.#push(this.#counted([]));
        return;
      case code.LIST:
        this.#push(this.#counted(this.#sinceMark()));
        return;
      case code.APPEND: {
        const item = this.#pop();
        this.#append([item]);
        return;
      }
      case code.APPENDS:
        this.#append(this.#sinceMark());
        return;
      case code.EMPTY_TUPLE:
        this.#tuple(0);
        return;
      case code.TUPLE: {
        const items = this.#sinceMark();
        this.#push(this.#counted(Object.freeze(items)));
        return;
      }
      case code.TUPLE1:
      case code.TUPLE2:
      case code.TUPLE3:
        this.#tuple(opcode - code.TUPLE1 + 1);
        return;
      case code.EMPTY_DICT:
        this.#push(this.#counted(new Map()));
        return;
      case code.DICT: {
        const items = this.#sinceMark();
        this.#push(this.#counted(new Map()));
        this.#setItems(items);
        return;
      }
      case code.SETITEM: {
        const value = this.#pop();
        const key = this.#pop();
        this.#setItems([key, value]);
        return;
      }
      case code.SETITEMS:
        this.#setItems(this.#sinceMark());
        return;
      case code.EMPTY_SET:
        this.#push(this.#counted(new Set()));
        return;
      case code.ADDITEMS: {
        const items = this.#sinceMark();
        const set = this.#top();
        if (!(set instanceof Set)) throw new Refusal(`adds to ${describe(set)}, which is no set`);
        for (const item of items) set.add(item);
        return;
      }
      case code.FROZENSET:
        this.#push(this.#counted(new Set(this.#sinceMark())));
        return;
      case code.BINGET:
        this.#recall(reader.u8());
        return;
      case code.LONG_BINGET:
        this.#recall(reader.u32());
        return;
      case code.BINPUT:
        this.#remember(reader.u8());
        return;
      case code.LONG_BINPUT:
        this.#remember(reader.u32());
        return;
      case code.MEMOIZE:
        this.#remember(this.#memo.length);
        return;
      case code.GLOBAL: {
        const module = reader.line();
        this.#push(this.#world.global(module, reader.line()));
        return;
      }
      case code.STACK_GLOBAL: {
        const name = this.#pop();
        const module = this.#pop();
        if (typeof name !== 'string' || typeof module !== 'string') throw new Refusal('names a global by what is no text');
        this.#push(this.#world.global(module, name));
        return;
      }
      case code.REDUCE:
      case code.NEWOBJ: {
        const args = this.#pop();
        this.#push(this.#counted(this.#call(this.#pop(), args)));
        return;
      }
      case code.BUILD: {
        // torch keeps versions of modules as attributes of an OrderedDict; they say nothing about tensors.
        const state = this.#pop();
        if (!(this.#top() instanceof Map) || !(state === null || state instanceof Map))
          throw new Refusal(`sets the state of ${describe(this.#top())}; only dictionaries may have one`);
        return;
      }
      case code.BINPERSID:
        this.#push(this.#counted(this.#world.persistent(this.#pop())));
        return;
      default:
        this.#bad(at, `has the pickle instruction 0x${opcode.toString(16).padStart(2, '0')}, which no torch file needs; it is refused`);
    }
  }
}
