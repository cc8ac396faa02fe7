import { setImmediate as nextTurn } from 'node:timers/promises';
import { type DType, dtypeCode } from './dtype.js';
import { describe, fail } from './errors.js';
import { addon, type DeviceInfo, type MemoryFigures, type NativeQueue } from './native.js';
import { checkShape, flatten, isBits, resolveShape, type Tensor, type TensorData, wrap } from './tensor.js';

export type { DeviceInfo, MemoryFigures };
export type DeviceType = 'metal' | 'cpu';

const open = new Map<DeviceType, Device>();
const internal = Symbol('weightnorm.device');

/** A place to compute: an Apple GPU through Metal, or the CPU. Each environment (main thread, worker) has its own ordered queue on it. */
export class Device {
  readonly info: DeviceInfo;
  readonly #queue: NativeQueue;
  /** Whether queued work waits for a submission of its own: not on the CPU, which runs it at once. */
  readonly #submits: boolean;
  #flushing = false;

  /** @internal Devices come from {@link Device.default} and {@link Device.get}. */
  constructor(key: symbol, queue: NativeQueue, reason?: string) {
    if (key !== internal) fail('ERR_ARGUMENT', 'Device has no public constructor; use Device.default() or Device.get(type)');
    this.#queue = queue;
    const info = addon.deviceInfo(queue);
    this.info = Object.freeze(reason ? { ...info, reason } : info);
    this.#submits = info.type !== 'cpu';
  }

  /** Metal if there is a usable device, else the CPU (`info.reason` says why not Metal). WEIGHTNORM_DEVICE=metal|cpu decides. */
  static default(): Device {
    const wanted = process.env.WEIGHTNORM_DEVICE;
    if (wanted) {
      if (wanted !== 'metal' && wanted !== 'cpu') fail('ERR_DEVICE_UNAVAILABLE', `WEIGHTNORM_DEVICE is ${describe(wanted)}; it must be 'metal' or 'cpu'`);
      return Device.get(wanted);
    }
    const metal = addon.listDevices().find((device) => device.type === 'metal');
    if (metal?.available) return Device.get('metal');
    return openDevice('cpu', metal?.reason);
  }

  /** The device of a type. Throws ERR_DEVICE_UNAVAILABLE, saying why and what to do. */
  static get(type: DeviceType): Device {
    if (type !== 'metal' && type !== 'cpu') fail('ERR_DEVICE_UNAVAILABLE', `device type is ${describe(type)}; it must be 'metal' or 'cpu'`);
    return openDevice(type);
  }

  /** The devices that can be used here. */
  static list(): DeviceInfo[] {
    return addon
      .listDevices()
      .filter((device) => device.available)
      .map(({ available, ...info }) => info);
  }

  /**
   * A tensor with a copy of `data`. The shape is the nesting's, or `options.shape` (one axis may be -1). Values are
   * rounded to `options.dtype` (default float32); a Uint16Array for a half dtype is taken as its bits.
   */
  tensor(data: TensorData, options: { shape?: readonly number[]; dtype?: DType } = {}): Tensor {
    const dtype = options.dtype ?? 'float32';
    const code = dtypeCode(dtype);
    const { view, shape } = flatten(data);
    if (view === null) fail('ERR_SHAPE', `data has shape [${shape.join(', ')}] and no elements; every dimension must be at least 1`);
    const size = (view as Float32Array).length;
    return wrap(addon.upload(this.#queue, view, options.shape ? resolveShape(options.shape, size) : shape, code, isBits(view, dtype)), this);
  }

  /** A tensor of zeros. */
  zeros(shape: readonly number[], dtype: DType = 'float32'): Tensor {
    return this.full(shape, 0, dtype);
  }

  /** A tensor of ones. */
  ones(shape: readonly number[], dtype: DType = 'float32'): Tensor {
    return this.full(shape, 1, dtype);
  }

  /** A tensor with `value` everywhere. */
  full(shape: readonly number[], value: number, dtype: DType = 'float32'): Tensor {
    if (typeof value !== 'number') fail('ERR_ARGUMENT', `value is ${describe(value)}; it must be a number`);
    return wrap(addon.fill(this.#queue, checkShape(shape), dtypeCode(dtype), value), this);
  }

  /** Normally distributed values of mean 0 and deviation `std` (default 1): the same for a `seed` on every device and platform. Without a seed they differ each time. */
  randn(shape: readonly number[], options: { seed?: number; std?: number; dtype?: DType } = {}): Tensor {
    const seed = options.seed ?? Math.floor(Math.random() * Number.MAX_SAFE_INTEGER);
    const std = options.std ?? 1;
    if (!Number.isSafeInteger(seed) || seed < 0) fail('ERR_ARGUMENT', `seed is ${describe(seed)}; it must be an integer from 0 to 2^53 - 1`);
    if (!Number.isFinite(std) || std < 0) fail('ERR_ARGUMENT', `std is ${describe(std)}; it must be a finite number of at least 0`);
    return wrap(addon.randn(this.#queue, checkShape(shape), dtypeCode(options.dtype ?? 'float32'), seed, std), this);
  }

  /** Resolves when all work queued so far is done; rejects with the first error that no read reported. */
  synchronize(): Promise<void> {
    return addon.synchronize(this.#queue);
  }

  /** Memory of the device, over all environments (`tensors`: of this one). */
  memory(): MemoryFigures {
    return addon.memory(this.#queue);
  }

  /** Gives cached memory back to the system. */
  trim(): void {
    addon.trim(this.#queue);
  }

  /** @internal The add-on's queue; throws for anything but a Device. */
  static queueOf(device: unknown, argument: string): NativeQueue {
    if (typeof device !== 'object' || device === null || !(#queue in device)) {
      fail('ERR_DEVICE', `${argument} is ${describe(device)}; it must be a Device`);
    }
    return device.#queue;
  }

  /** @internal Work was queued: submit it at the end of this turn of the event loop. */
  static touch(device: Device): void {
    if (!device.#submits || device.#flushing) return;
    device.#flushing = true;
    setImmediate(() => {
      device.#flushing = false;
      addon.flush(device.#queue);
    });
  }

  /** @internal Lets the event loop turn, unless that would submit what is queued so far. */
  static turn(device: Device): Promise<void> | undefined {
    return device.#submits ? undefined : nextTurn();
  }

  toString(): string {
    return `Device(${this.info.type}: ${this.info.name})`;
  }
}

/** @internal */
export const deviceOf = Device.queueOf;
/** @internal */
export const touch = Device.touch;
/** @internal */
export const turn = Device.turn;

function openDevice(type: DeviceType, reason?: string): Device {
  let device = open.get(type);
  if (!device) {
    device = new Device(internal, addon.openQueue(type), reason);
    open.set(type, device);
  }
  return device;
}
