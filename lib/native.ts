import { WeightNormError } from './errors.js';
import { loadAddon } from './loader/load.js';

export { packageRoot } from './loader/find.js';

/** A tensor of the add-on: an opaque external value. */
export type NativeTensor = { readonly __nativeTensor: unique symbol };
/** A device's queue in this environment: an opaque external value. */
export type NativeQueue = { readonly __nativeQueue: unique symbol };

/** A push of a stream, to be repeated: an opaque external value. It keeps no tensor alive. */
export type NativeTemplate = { readonly __nativeTemplate: unique symbol };
export type NativePush = [output: NativeTensor | null, after: NativeTensor | null, template: NativeTemplate | null];

/** What a device is; see {@link Device.info}. */
export interface DeviceInfo {
  type: 'metal' | 'cpu';
  name: string;
  /** Why this is the default although it is not Metal, or why a device cannot be used. */
  reason?: string;
  /** True only for the software Metal used by the project's own tests. */
  simulated: boolean;
  unifiedMemory: boolean;
  memoryBytes: number;
  features: string[];
}

export interface MemoryFigures {
  /** Bytes of tensors that are alive or queued. */
  liveBytes: number;
  /** Bytes kept for reuse; `trim()` gives them back. */
  cachedBytes: number;
  /** The most `liveBytes` has been. */
  peakBytes: number;
  /** Tensors of this environment that were neither disposed nor collected. */
  tensors: number;
}

/** Fused activation of a convolution or product: kind code, parameter, log-scale flag, alpha. */
export type NativeActivation = { kind: number; param: number; logScale: boolean; alpha: NativeTensor | null };

/**
 * Geometry of a convolution, one number a slot, pairs as height, width:
 * stride ×2, dilation ×2, padBegin ×2, padEnd ×2, outputPadding ×2, groups, padMode, outScale,
 * flags (1 transposed, 2 scale per input channel, 4 direct).
 */
export type ConvGeometry = Float64Array;

/** A convolution's {@link ConvGeometry}, then kind, parameter and log-scale flag of the activations before and after it. */
export type ConvNumbers = Float64Array;

/** Axes are passed as a mask (bit i = axis i), eps as a number or undefined. */
export interface Addon {
  /** `kernels` and `host`: hashes of the Metal backend's sources ('' without Metal). `sanitizer`: of the compiler, '' for none. */
  readonly build: { compiler: string; metal: boolean; kernels: string; host: string; sanitizer: string };
  /** Of the tensor made last: its rank, its sizes (8 slots), its dtype code; then the number of tensors that could not be computed so far. */
  readonly description: Float64Array;
  /** Where {@link conv} finds its numbers. */
  readonly convNumbers: ConvNumbers;
  setErrorClass(errorClass: typeof WeightNormError): void;
  /** Every device this build knows, usable or not (`reason` says why not). */
  listDevices(): (DeviceInfo & { available: boolean })[];
  openQueue(type: string): NativeQueue;
  deviceInfo(queue: NativeQueue): DeviceInfo;
  memory(queue: NativeQueue): MemoryFigures;
  trim(queue: NativeQueue): void;
  flush(queue: NativeQueue): void;
  synchronize(queue: NativeQueue): Promise<void>;
  /** Run-time compilations on a Metal device so far: libraries (no function) and pipelines. */
  compileRecords(queue: NativeQueue): { library: string; function: string; constants: string; milliseconds: number }[];
  /** Every kernel of this build as library/function; compiles every library of a Metal device. */
  kernelFunctions(queue: NativeQueue): string[];

  /** Copies `data`, converting to the dtype with round to nearest even. `bits`: data already holds the dtype's bits. */
  upload(queue: NativeQueue, data: ArrayBufferView, shape: readonly number[], dtype: number, bits: boolean): NativeTensor;
  fill(queue: NativeQueue, shape: readonly number[], dtype: number, value: number): NativeTensor;
  /** Standard normal values times `std`, the same for a seed on every device and platform. */
  randn(queue: NativeQueue, shape: readonly number[], dtype: number, seed: number, std: number): NativeTensor;
  /** Replaces the values: the handle gets new storage. */
  write(tensor: NativeTensor, data: ArrayBufferView, bits: boolean): void;
  shape(tensor: NativeTensor): number[];
  dtype(tensor: NativeTensor): number;
  dispose(tensor: NativeTensor): void;
  /** Whether computing the tensor is known to have failed. */
  failed(tensor: NativeTensor): boolean;
  /** The stored bytes, or float32 values of them when `asFloat`. */
  read(tensor: NativeTensor, asFloat: boolean): Promise<ArrayBuffer>;
  readSync(tensor: NativeTensor, asFloat: boolean): ArrayBuffer;
  transfer(tensor: NativeTensor, target: NativeQueue): NativeTensor;
  view(tensor: NativeTensor, shape: readonly number[]): NativeTensor;

  weightNorm(v: NativeTensor, g: NativeTensor, reduce: number, eps: number | undefined): NativeTensor;
  weightNormBackward(gradW: NativeTensor, v: NativeTensor, g: NativeTensor, reduce: number, eps: number | undefined): [NativeTensor, NativeTensor];
  norm(v: NativeTensor, reduce: number): NativeTensor;
  /** Norm scales g/‖v‖ of many layers in one operation, float32, flat. */
  scales(v: NativeTensor[], g: NativeTensor[], reduce: number[], eps: (number | undefined)[]): NativeTensor[];
  /** The rest of its arguments is what {@link convNumbers} holds at the call. */
  conv(
    x: NativeTensor,
    weight: NativeTensor,
    bias: NativeTensor | null,
    scale: NativeTensor | null,
    residual: NativeTensor | null,
    running: NativeTensor | null,
    preAlpha?: NativeTensor | null,
    postAlpha?: NativeTensor | null,
  ): NativeTensor;
  /**
   * One push of a streamed network of convolutions. `program`: the number of slots, the elements that are kept of a stream, then 37 numbers a
   * step: kind (0 hold, 1 input, 2 copy, 3 convolution), slot of its value (−1: the output), channels, new time steps; those that
   * `before` kept and where; those that are kept of its end, and where; slot, start and length of x, residual
   * and running sum (slot −1: absent); the geometry; kind, parameter and log-scale flag of the activations before and after.
   * `tensors`: weight, bias, scale and the activations' alphas of each convolution. Gives the output and what is kept, and with `keep` what
   * {@link streamAgain} takes.
   */
  stream(x: NativeTensor | null, before: NativeTensor | null, program: Float64Array, tensors: readonly (NativeTensor | null)[], keep?: boolean): NativePush;
  /**
   * The push that `template` was made by, of other values, with the tensors' storages of that moment. Null where shapes, type or device
   * differ, or where a storage is gone or could not be computed.
   */
  streamAgain(x: NativeTensor | null, before: NativeTensor | null, template: NativeTemplate): NativePush | null;
  linear(
    x: NativeTensor,
    weight: NativeTensor,
    bias: NativeTensor | null,
    scale: NativeTensor | null,
    post: NativeActivation | null,
    direct?: boolean,
  ): NativeTensor;
  matmul(a: NativeTensor, b: NativeTensor): NativeTensor;
  activation(x: NativeTensor, activation: NativeActivation): NativeTensor;
  /** `a` and `b`: tensors, or one of them a number. */
  arithmetic(kind: number, a: NativeTensor | number, b: NativeTensor | number): NativeTensor;
  reduce(x: NativeTensor, axes: number, mean: boolean, keepDims: boolean): NativeTensor;
  transpose(x: NativeTensor, permutation: readonly number[]): NativeTensor;
  pad(x: NativeTensor, left: number, right: number, mode: number): NativeTensor;
  narrow(x: NativeTensor, axis: number, start: number, length: number): NativeTensor;
  concat(parts: NativeTensor[], axis: number): NativeTensor;
  interpolate(x: NativeTensor, factor: number): NativeTensor;
  cast(x: NativeTensor, dtype: number): NativeTensor;
}

/** The native add-on, loaded once per environment. */
export const addon = loadAddon() as Addon;
addon.setErrorClass(WeightNormError);
