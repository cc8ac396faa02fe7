import { type Device, type ErrorCode, type nn, type Tensor, WeightNormError } from 'weightnorm';
import type { DType } from '../../lib/dtype';
import { roundTo, values } from '../support/random';
import { exact, sizeOf, type Tally, type Value } from './model';

/** One step of a program: what to do, and numbers that the step reads as it needs them. Small numbers are simple choices. */
export interface Step {
  op: string;
  /** Picks of operands and options. */
  n: number[];
  /** Steps of a scope. */
  body?: Step[];
}

/** A tensor handle beside what the model knows of it. */
export interface Slot {
  tensor: Tensor;
  shape: readonly number[];
  dtype: DType;
  device: number;
  version: number;
  disposed: boolean;
  value: Value;
}

export interface LayerSlot {
  layer: nn.Module & Record<string, unknown>;
  kind: string;
  device: number;
  dtype: DType;
  /** What the forward needs to know. */
  shape: { inputs: number; outputs: number; kernel: number; stride: number; dilation: number; padding: number; groups: number };
  dim: number | null | undefined;
  parameters: Map<string, Slot>;
}

export const dtypes: DType[] = ['float32', 'float16', 'bfloat16'];
/** A value whose numbers are still to come. */
type Arriving = { -readonly [K in keyof Value]: Value[K] };
/** A result that cannot be had: which codes the call may throw. */
export type Codes = Set<ErrorCode>;

/** The state of one program: handles, what is to be compared at its end, and numbers read from the current step. */
export class World {
  readonly slots: Slot[] = [];
  readonly layers: LayerSlot[] = [];
  /** Comparisons, in order, once every value has arrived. */
  readonly checks: (() => void)[] = [];
  readonly tally: Tally = { compared: 0, skipped: 0 };
  readonly counts = { done: 0, refused: 0 };
  /** Views that keep a storage until its values are read at the end. */
  readonly #late: { view: Tensor; value: Arriving }[] = [];
  readonly #arriving: Promise<unknown>[] = [];
  readonly #before: number[];
  /** Tensors of layers, which keep some of their own. */
  #hidden = 0;
  #made: Slot[][] = [];
  #numbers: number[] = [];
  #at = 0;
  what = '';

  constructor(readonly devices: readonly Device[]) {
    this.#before = devices.map((device) => device.memory().tensors);
  }

  begin(step: Step): void {
    this.#numbers = step.n;
    this.#at = 0;
    this.what = step.op;
  }

  /** The step's next number below `count`; 0 once they run out. */
  next(count: number): number {
    const number = this.#numbers[this.#at++ % Math.max(1, this.#numbers.length)] ?? 0;
    return (number + (this.#at > this.#numbers.length ? this.#at * 7 : 0)) % count;
  }
  /** True once in `count` times. */
  rarely(count: number): boolean {
    return this.next(count) === count - 1;
  }
  pick<T>(items: readonly T[]): T {
    return items[this.next(items.length)] as T;
  }

  /** A handle made earlier; now and then a disposed one. Makes one where there is none. */
  any(): Slot {
    const live = this.slots.filter((slot) => !slot.disposed);
    const from = this.rarely(24) && this.slots.length > 0 ? this.slots : live;
    return from.length === 0 ? this.create([2, 3]) : this.pick(from);
  }

  /** Mostly a new tensor of this shape beside `like`; now and then any other, which may not fit. */
  beside(like: Slot, shape: readonly number[], dtype: DType = like.dtype): Slot {
    if (this.rarely(12)) return this.any();
    const fits = this.slots.filter((s) => !s.disposed && s.device === like.device && s.dtype === dtype && s.shape.join() === shape.join());
    if (fits.length > 0 && this.next(3) === 0) return this.pick(fits);
    return this.create(shape, dtype, like.device);
  }

  /** A new tensor of known values. */
  create(shape: readonly number[], dtype?: DType, device?: number): Slot {
    const type = dtype ?? this.pick(dtypes);
    const at = device ?? this.next(this.devices.length);
    const data = values(sizeOf(shape), this.next(1000), type, [1, 1, 1, 3, 0.001, 40][this.next(6)]);
    if (this.rarely(12)) data.fill(0);
    const tensor = (this.devices[at] as Device).tensor(data, { shape: [...shape], dtype: type });
    return this.add(tensor, shape, type, at, (y) => exact('upload', y, (i) => data[i] as number, this.tally));
  }

  randomShape(least = 0, most = 4): number[] {
    return Array.from({ length: least + this.next(most - least + 1) }, () => 1 + this.next(5));
  }

  /** Calls the library and holds it to what the model says: the result, or one of the codes. */
  attempt<T>(codes: Codes, call: () => T): T | null {
    const counts = this.counts;
    const tensors = this.devices.map((device) => device.memory().tensors);
    let result: T;
    try {
      result = call();
    } catch (error) {
      counts.refused++;
      if (!(error instanceof WeightNormError) || !codes.has(error.code)) throw error;
      if (error.message.length < 8) throw new Error(`${this.what}: the message of ${error.code} says nothing: ${error.message}`);
      this.devices.forEach((device, i) => {
        if (device.memory().tensors !== tensors[i] && this.layers.length === 0) throw new Error(`${this.what}: a refused call left a tensor behind`);
      });
      return null;
    }
    counts.done++;
    if (codes.size > 0) throw new Error(`${this.what}: was accepted; one of ${[...codes].join(', ')} was due`);
    return result;
  }

  /** Takes in a new handle: its shape, dtype and device now, its values at the end. */
  add(tensor: Tensor, shape: readonly number[], dtype: DType, device: number, check: (y: Value) => void): Slot {
    const slot: Slot = {
      tensor,
      shape: [...shape],
      dtype,
      device,
      version: 0,
      disposed: false,
      value: { shape: [...shape], dtype, numbers: new Float32Array(0) },
    };
    this.verify(slot);
    this.await(slot, check);
    this.slots.push(slot);
    this.#made.at(-1)?.push(slot);
    return slot;
  }

  /** Another handle of the same storage. */
  share(tensor: Tensor, shape: readonly number[], of: Slot): void {
    const whole = of.value;
    // The same numbers, whenever they arrive.
    const value: Value = {
      shape: [...shape],
      dtype: of.dtype,
      get numbers() {
        return whole.numbers;
      },
    };
    const slot: Slot = { ...of, tensor, shape: [...shape], version: 0, value };
    this.verify(slot);
    this.slots.push(slot);
    this.#made.at(-1)?.push(slot);
  }

  /** Has a handle's present values arrive in its value: read at once, or through a view at the end. */
  await(slot: Slot, check: (y: Value) => void): void {
    const { tensor } = slot;
    const value: Arriving = slot.value;
    // In a scope the view would be disposed with everything else.
    if (this.#made.length > 0 || this.next(2) === 0) {
      this.#arriving.push(
        tensor.read().then((numbers) => {
          value.numbers = numbers;
        }),
      );
    } else {
      this.#late.push({ view: tensor.reshape([...slot.shape]), value });
    }
    const what = this.what;
    this.checks.push(() => {
      if (value.numbers.length !== sizeOf(value.shape))
        throw new Error(`${what}: ${value.numbers.length} values were read for shape [${value.shape.join(', ')}]`);
      check(value);
    });
  }

  /** New values of a handle, given by `data`. */
  rewrite(slot: Slot, data: ArrayLike<number>): void {
    slot.version++;
    slot.value = { shape: slot.shape, dtype: slot.dtype, numbers: new Float32Array(0) };
    this.await(slot, (y) => exact('write', y, (i) => roundTo(data[i] as number, slot.dtype), this.tally));
  }

  verify({ tensor, shape, dtype, device, version, disposed }: Slot): void {
    const wrong = (field: string, got: unknown, want: unknown): never => {
      throw new Error(`${this.what}: ${field} is ${got}; ${want} is right`);
    };
    if (tensor.shape.join() !== shape.join()) wrong('shape', `[${tensor.shape}]`, `[${shape}]`);
    if (tensor.dtype !== dtype) wrong('dtype', tensor.dtype, dtype);
    if (tensor.device !== this.devices[device]) wrong('device', tensor.device, this.devices[device]);
    if (tensor.size !== sizeOf(shape) || tensor.byteLength !== sizeOf(shape) * (dtype === 'float32' ? 4 : 2)) wrong('size', tensor.size, sizeOf(shape));
    if (tensor.version !== version) wrong('version', tensor.version, version);
    if (tensor.disposed !== disposed) wrong('disposed', tensor.disposed, disposed);
  }

  /** Every handle is in the state that the model says, and no other tensor is alive. */
  verifyAll(): void {
    for (const slot of this.slots) this.verify(slot);
    if (this.layers.length > 0) return;
    this.devices.forEach((device, at) => {
      const live = this.slots.filter((slot) => slot.device === at && !slot.disposed).length + this.#late.filter(({ view }) => view.device === device).length;
      const tensors = device.memory().tensors - (this.#before[at] as number);
      if (tensors !== live + this.#hidden) throw new Error(`${this.what}: ${tensors} tensors are alive on device ${at}; ${live} is right`);
    });
  }

  /** Runs `body` and returns the handles it made. */
  collect(body: () => void): Slot[] {
    const made: Slot[] = [];
    this.#made.push(made);
    try {
      body();
    } finally {
      this.#made.pop();
      this.#made.at(-1)?.push(...made);
    }
    return made;
  }

  /** Everything is read and compared, then given back. */
  async finish(): Promise<void> {
    for (const { view, value } of this.#late) {
      this.#arriving.push(
        view.read().then((numbers) => {
          value.numbers = numbers;
        }),
      );
      view.dispose();
    }
    this.#late.length = 0;
    await Promise.all(this.#arriving);
    for (const check of this.checks) check();
  }

  dispose(): void {
    for (const { view } of this.#late) view.dispose();
    for (const { layer } of this.layers) layer.dispose();
    for (const { tensor } of this.slots) tensor.dispose();
  }
}
