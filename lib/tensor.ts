import { type Device, deviceOf, touch } from './device.js';
import { type DType, dtypeCode, dtypes, itemSize } from './dtype.js';
import { describe, fail } from './errors.js';
import { addon, type NativeTensor } from './native.js';
import { register } from './scope.js';

/** Data a tensor can be made from: a typed array, a flat array of numbers, or arrays nested to any depth up to 8. */
export type TensorData = ArrayBufferView | ArrayBuffer | SharedArrayBuffer | number | NestedArray;
export type NestedArray = readonly (number | NestedArray)[];

const internal = Symbol('weightnorm.internal');
/** Symbols cannot be cloned, so posting a tensor to a worker is a DataCloneError that says this. */
const home = Symbol('a Tensor belongs to the thread that made it: send the values of its read() instead');

/**
 * A contiguous row-major array on a device. Operations return tensors at once and run in order behind them; `read()`
 * waits for the values. Free one with `dispose()`, `using` or {@link scope}; the garbage collector is the backstop.
 */
export class Tensor {
  /** Sizes of the axes, outermost first. */
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly device: Device;
  /** Number of elements. */
  readonly size: number;
  /** @internal */
  readonly environment = home;
  #handle: NativeTensor | null;
  #version = 0;

  /** @internal Tensors come from a {@link Device} or an operation. `shape` is frozen. */
  constructor(key: symbol, handle: NativeTensor, device: Device, shape: readonly number[], dtype: number) {
    if (key !== internal) fail('ERR_ARGUMENT', 'Tensor has no public constructor; use device.tensor(data)');
    this.#handle = handle;
    this.device = device;
    this.shape = shape;
    this.dtype = dtypes[dtype] as DType;
    let size = 1;
    for (let axis = 0; axis < shape.length; axis++) size *= shape[axis] as number;
    this.size = size;
    register(this);
  }

  /** Size in bytes. */
  get byteLength(): number {
    return this.size * itemSize(this.dtype);
  }

  /** True after {@link dispose}. */
  get disposed(): boolean {
    return this.#handle === null;
  }

  /** Counts the calls of {@link write}: caches of derived values compare it. */
  get version(): number {
    return this.#version;
  }

  /** The values as float32, row-major, once they are computed. Rejects with the error of the operation that failed. A pending read survives {@link dispose}. */
  async read(): Promise<Float32Array> {
    return new Float32Array(await addon.read(nativeOf(this, 'tensor'), true));
  }

  /** The values as stored: float32, or the 16 bits of a half type. */
  async readRaw(): Promise<Float32Array | Uint16Array> {
    const buffer = await addon.read(nativeOf(this, 'tensor'), false);
    return this.dtype === 'float32' ? new Float32Array(buffer) : new Uint16Array(buffer);
  }

  /** {@link read}, blocking the thread: for scripts, not for servers. */
  readSync(): Float32Array {
    return new Float32Array(addon.readSync(nativeOf(this, 'tensor'), true));
  }

  /**
   * Replaces the values with a copy of `data` (as many elements, any nesting), made at the call. Work already queued
   * and earlier views keep the old values.
   */
  write(data: TensorData): void {
    const handle = nativeOf(this, 'tensor');
    const flat = flatten(data);
    if (flat.view === null || elementCount(flat.view) !== this.size) {
      fail('ERR_SHAPE', `write: data has ${flat.view ? elementCount(flat.view) : 0} elements; a tensor of shape [${this.shape.join(', ')}] takes ${this.size}`);
    }
    addon.write(handle, flat.view, isBits(flat.view, this.dtype));
    this.#version++;
    touch(this.device);
  }

  /** A copy on another device, or in another dtype (rounded to nearest even). */
  to(target: Device | DType): Tensor {
    const handle = nativeOf(this, 'tensor');
    if (typeof target === 'string') return wrap(addon.cast(handle, dtypeCode(target, 'to: target')), this.device);
    const queue = deviceOf(target, 'to: target');
    return wrap(target === this.device ? addon.cast(handle, dtypeCode(this.dtype)) : addon.transfer(handle, queue), target);
  }

  /** The same values under another shape of as many elements (one axis may be -1); shares the storage of this moment. */
  reshape(shape: readonly number[]): Tensor {
    const handle = nativeOf(this, 'tensor');
    return wrap(addon.view(handle, resolveShape(shape, this.size)), this.device);
  }

  /** A copy with its axes permuted; without an argument, reversed. Negative axes count from the end. */
  transpose(permutation?: readonly number[]): Tensor {
    const handle = nativeOf(this, 'tensor');
    const rank = this.shape.length;
    const order = permutation ?? this.shape.map((_, i) => rank - 1 - i);
    if (!Array.isArray(order) || order.length !== rank || !order.every(Number.isInteger)) {
      fail('ERR_ARGUMENT', `permutation is ${describe(permutation)}; it must name each of the ${rank} axes once`);
    }
    return wrap(
      addon.transpose(
        handle,
        order.map((axis) => (axis < 0 ? axis + rank : axis)),
      ),
      this.device,
    );
  }

  /** A copy with its own storage. */
  clone(): Tensor {
    return wrap(addon.cast(nativeOf(this, 'tensor'), dtypeCode(this.dtype)), this.device);
  }

  /** Frees the memory once queued work no longer needs it. Further use throws ERR_DISPOSED; disposing again does nothing. */
  dispose(): void {
    if (this.#handle === null) return;
    addon.dispose(this.#handle);
    this.#handle = null;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** @internal */
  static nativeOf(tensor: unknown, argument: string): NativeTensor {
    if (typeof tensor !== 'object' || tensor === null || !(#handle in tensor)) {
      fail('ERR_ARGUMENT', `${argument} is ${describe(tensor)}; it must be a Tensor`);
    }
    if (tensor.#handle === null) fail('ERR_DISPOSED', `${argument} was disposed`);
    return tensor.#handle;
  }

  /** @internal Whether `value` is a Tensor of this copy of the library. */
  static is(value: unknown): value is Tensor {
    return typeof value === 'object' && value !== null && #handle in value;
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }

  toString(): string {
    return `Tensor([${this.shape.join(', ')}], ${this.dtype}, ${this.device.info.type}${this.disposed ? ', disposed' : ''})`;
  }
}

/** @internal The add-on's handle; throws for anything but a live tensor, naming `argument`. */
export const nativeOf = Tensor.nativeOf;

const { description } = addon;

/** A tensor often has the shape of the one before: they share the frozen array. */
let described: readonly number[] = Object.freeze([]);

function describedShape(): readonly number[] {
  const rank = description[0] as number;
  let same = described.length === rank;
  for (let axis = 0; same && axis < rank; axis++) same = described[axis] === description[1 + axis];
  if (!same) {
    const shape: number[] = [];
    for (let axis = 1; axis <= rank; axis++) {
      const dim = description[axis] as number;
      // Small integers stay such in the array.
      shape.push(dim < 2 ** 30 ? dim | 0 : dim);
    }
    described = Object.freeze(shape);
  }
  return described;
}

/** @internal A Tensor over the handle that the add-on made last. */
export function wrap(handle: NativeTensor, device: Device): Tensor {
  touch(device);
  return new Tensor(internal, handle, device, describedShape(), description[9] as number);
}

/** @internal A Tensor over a fresh handle, of several that one call made. */
export function wrapOne(handle: NativeTensor, device: Device): Tensor {
  touch(device);
  return new Tensor(internal, handle, device, Object.freeze(addon.shape(handle)), addon.dtype(handle));
}

function elementCount(view: ArrayBufferView): number {
  return (view as Float32Array).length;
}

/** Uint16 data is the stored bits of a half type; for float32 it is numbers like any other. */
export function isBits(view: ArrayBufferView, dtype: DType): boolean {
  return dtype !== 'float32' && Object.prototype.toString.call(view) === '[object Uint16Array]';
}

const numericTags = new Set(
  ['Float32', 'Float64', 'Int8', 'Uint8', 'Uint8Clamped', 'Int16', 'Uint16', 'Int32', 'Uint32'].map((name) => `[object ${name}Array]`),
);

/** Data as one typed array, with the shape its nesting implies. An empty array gives a null view. */
export function flatten(data: TensorData): { view: ArrayBufferView | null; shape: number[] } {
  if (ArrayBuffer.isView(data)) {
    const tag = Object.prototype.toString.call(data);
    if (!numericTags.has(tag)) fail('ERR_DTYPE', `data is a ${tag.slice(8, -1)}; it must be a typed array of numbers`);
    return { view: elementCount(data) === 0 ? null : data, shape: [elementCount(data)] };
  }
  const tag = Object.prototype.toString.call(data);
  if (tag === '[object ArrayBuffer]' || tag === '[object SharedArrayBuffer]') {
    const buffer = data as ArrayBuffer;
    if (buffer.byteLength % 4 !== 0) fail('ERR_SHAPE', `data is a buffer of ${buffer.byteLength} bytes; it must hold whole float32 values`);
    return flatten(new Float32Array(buffer));
  }
  if (typeof data === 'number') return { view: Float64Array.of(data), shape: [] };
  if (!Array.isArray(data)) fail('ERR_ARGUMENT', `data is ${describe(data)}; it must be a typed array, a number or nested arrays of numbers`);
  const shape: number[] = [];
  for (let level: unknown = data; Array.isArray(level); level = level[0]) {
    if (shape.length === 8) fail('ERR_SHAPE', 'data is nested more than 8 deep; ranks 0 to 8 are allowed');
    shape.push(level.length);
  }
  const size = shape.reduce((product, dim) => product * dim, 1);
  if (size === 0) return { view: null, shape };
  const values = new Float64Array(size);
  let at = 0;
  const walk = (level: NestedArray, depth: number): void => {
    if (level.length !== shape[depth]) fail('ERR_SHAPE', `data is ragged: at depth ${depth} one array has ${level.length} elements, another ${shape[depth]}`);
    for (const item of level) {
      if (depth === shape.length - 1) {
        if (typeof item !== 'number') fail('ERR_ARGUMENT', `data holds ${describe(item)} where a number is needed`);
        values[at++] = item;
      } else {
        if (!Array.isArray(item)) fail('ERR_SHAPE', `data is ragged: at depth ${depth + 1} there is ${describe(item)} beside arrays`);
        walk(item, depth + 1);
      }
    }
  };
  walk(data, 0);
  return { view: values, shape };
}

/** A shape argument as plain numbers, -1 resolved against `size`. */
export function resolveShape(shape: unknown, size: number): number[] {
  const dims = checkShape(shape, true);
  const open = dims.indexOf(-1);
  const known = dims.reduce((product, dim) => (dim === -1 ? product : product * dim), 1);
  if (open >= 0 && known > 0 && size % known === 0) dims[open] = size / known;
  const total = dims.reduce((product, dim) => product * dim, 1);
  if (total !== size || dims.includes(-1)) fail('ERR_SHAPE', `shape [${(shape as number[]).join(', ')}] does not hold ${size} elements`);
  return dims;
}

/** A shape argument: an array of integers, each at least 1 (or one -1 where `open`). */
export function checkShape(shape: unknown, open = false): number[] {
  if (!Array.isArray(shape)) fail('ERR_SHAPE', `shape is ${describe(shape)}; it must be an array of integers`);
  let opens = 0;
  for (const dim of shape) {
    if (open && dim === -1 && ++opens === 1) continue;
    if (!Number.isInteger(dim) || dim < 1) {
      fail('ERR_SHAPE', `shape is ${describe(shape)}; every dimension must be an integer of at least 1`);
    }
  }
  if (shape.length > 8) fail('ERR_SHAPE', `shape has rank ${shape.length}; ranks 0 to 8 are allowed`);
  return [...shape];
}
