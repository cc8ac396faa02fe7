import { describe, fail } from './errors.js';
import { addon, type ConvGeometry, type NativeActivation, type NativeTensor } from './native.js';
import { nativeOf, type Tensor, wrap } from './tensor.js';

/** Which axes a norm runs over: `dim` names the axis that is kept (torch; null: none), `axes` the axes that are normalised (MLX). Give one. */
export interface NormAxes {
  /** The axis that is kept; negative counts from the end, null normalises the whole tensor. Default 0. */
  dim?: number | null;
  /** The axes that are normalised. */
  axes?: readonly number[];
}

export interface WeightNormOptions extends NormAxes {
  /** Unset: an all-zero row gives 0. Above 0: norms are at least eps. 0: torch's NaN for an all-zero row. */
  eps?: number;
}

/** A number for every axis, or one number an axis. */
export type Extent = number | readonly number[];
/** Zeros to add: one number for both sides of every axis, a pair, 'same' (stride 1: output as long as the input) or 'valid' (none). 1-D pairs are [left, right]; 2-D pairs [height, width], each a number or [begin, end]. */
export type Padding = number | 'same' | 'valid' | readonly (number | readonly [number, number])[];
export type PaddingMode = 'zeros' | 'reflect' | 'replicate' | 'circular';

export interface ConvOptions {
  stride?: Extent;
  padding?: Padding;
  dilation?: Extent;
  groups?: number;
  paddingMode?: PaddingMode;
  /** 'direct': an output element's order of operations depends only on the layer. 'auto' may choose faster transforms within the tolerances. */
  algorithm?: 'auto' | 'direct';
}

export interface ConvTransposeOptions {
  stride?: Extent;
  /** Steps cut off both ends of the output; 'valid': none. A pair is [left, right]. */
  padding?: Exclude<Padding, 'same'>;
  outputPadding?: Extent;
  dilation?: Extent;
  groups?: number;
  algorithm?: 'auto' | 'direct';
}

/** @internal Options of every kind of convolution. */
export interface AnyConvOptions {
  stride?: Extent | undefined;
  padding?: Padding | undefined;
  outputPadding?: Extent | undefined;
  dilation?: Extent | undefined;
  groups?: number | undefined;
  paddingMode?: PaddingMode | undefined;
  algorithm?: 'auto' | 'direct' | undefined;
}

export type ActivationKind = 'none' | 'leakyRelu' | 'relu' | 'elu' | 'gelu' | 'silu' | 'sigmoid' | 'tanh' | 'snake' | 'exp' | 'sin' | 'pow';

/** @internal Activation codes of the add-on (core::Act). */
export const activationKinds: Readonly<Record<ActivationKind, number>> = {
  none: 0,
  leakyRelu: 1,
  relu: 2,
  elu: 3,
  gelu: 4,
  silu: 5,
  sigmoid: 6,
  tanh: 7,
  snake: 8,
  exp: 9,
  sin: 10,
  pow: 11,
};

/** An activation that a convolution or product can fuse. */
export interface ActivationSpec {
  kind: ActivationKind;
  /** Slope of leakyRelu, alpha of elu, exponent of pow. */
  param?: number;
  /** Snake's per-channel alpha. */
  alpha?: Tensor;
  logScale?: boolean;
}

/** @internal What a layer fuses into its convolution. */
export interface ConvFusion {
  scale?: Tensor | undefined;
  scalePerInput?: boolean;
  residual?: Tensor | undefined;
  running?: Tensor | undefined;
  pre?: ActivationSpec | undefined;
  post?: ActivationSpec | undefined;
  outScale?: number | undefined;
}

function finite(value: unknown, argument: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) fail('ERR_ARGUMENT', `${argument} is ${describe(value)}; it must be a finite number`);
  return value;
}

/** An integer argument of at least `least`. */
export function integer(value: unknown, argument: string, least: number): number {
  if (!Number.isSafeInteger(value) || (value as number) < least)
    fail('ERR_ARGUMENT', `${argument} is ${describe(value)}; it must be an integer of at least ${least}`);
  return value as number;
}

/** An axis of a tensor of a rank, negative from the end. */
export function resolveAxis(axis: unknown, rank: number, argument: string): number {
  const index = Number.isInteger(axis) && (axis as number) < 0 ? (axis as number) + rank : (axis as number);
  if (!Number.isInteger(axis) || index < 0 || index >= rank) {
    fail('ERR_ARGUMENT', `${argument} is ${describe(axis)}; for a tensor of rank ${rank} it must be an integer from ${-rank} to ${rank - 1}`);
  }
  return index;
}

/** A set of axes as a mask. */
export function axesMask(axes: unknown, rank: number, argument: string): number {
  if (!Array.isArray(axes)) fail('ERR_ARGUMENT', `${argument} is ${describe(axes)}; it must be an array of axes`);
  let mask = 0;
  for (const axis of axes) {
    const bit = 1 << resolveAxis(axis, rank, argument);
    if (mask & bit) fail('ERR_ARGUMENT', `${argument} is ${describe(axes)}; each axis may be named once`);
    mask |= bit;
  }
  return mask;
}

/** The mask of normalised axes that `dim` or `axes` choose for a tensor of a rank. */
export function reduceMask(rank: number, { dim, axes }: NormAxes): number {
  if (rank === 0) fail('ERR_SHAPE', 'v has rank 0; ranks 1 to 8 are allowed');
  const all = (1 << rank) - 1;
  if (axes !== undefined) {
    if (dim !== undefined) fail('ERR_ARGUMENT', 'dim and axes were both given; dim names the axis that is kept, axes those that are normalised: give one');
    const mask = axesMask(axes, rank, 'axes');
    if (mask === 0) fail('ERR_ARGUMENT', 'axes is []; it must name at least one axis');
    return mask;
  }
  if (dim === null) return all;
  return all & ~(1 << resolveAxis(dim ?? 0, rank, 'dim'));
}

/** An eps option: unset, or a finite number of at least 0. */
export function checkEps(eps: unknown): number | undefined {
  if (eps === undefined) return undefined;
  if (finite(eps, 'eps') < 0) fail('ERR_ARGUMENT', `eps is ${describe(eps)}; it must be at least 0`);
  return eps as number;
}

/**
 * w = g · v / ‖v‖ (Salimans and Kingma 2016). `v` any rank from 1 to 8; `g` has v's shape with the normalised axes as 1, in
 * v's dtype or float32. Returns w with v's shape and dtype; float32 results are within 4 ulp of exact.
 */
export function weightNorm(v: Tensor, g: Tensor, options: WeightNormOptions = {}): Tensor {
  const handle = nativeOf(v, 'v');
  return wrap(addon.weightNorm(handle, nativeOf(g, 'g'), reduceMask(v.shape.length, options), checkEps(options.eps)), v.device);
}

/** Gradients of {@link weightNorm}: with S = Σ(gradW·v), gradG = S/n and gradV = (g/n)(gradW − (v/n)(S/n)). */
export function weightNormBackward(gradW: Tensor, v: Tensor, g: Tensor, options: WeightNormOptions = {}): { gradV: Tensor; gradG: Tensor } {
  const handle = nativeOf(v, 'v');
  const [gradV, gradG] = addon.weightNormBackward(
    nativeOf(gradW, 'gradW'),
    handle,
    nativeOf(g, 'g'),
    reduceMask(v.shape.length, options),
    checkEps(options.eps),
  );
  return { gradV: wrap(gradV, v.device), gradG: wrap(gradG, v.device) };
}

/** The Euclidean norm ‖v‖ over the chosen axes, float32, normalised axes kept as 1. */
export function norm(v: Tensor, options: NormAxes = {}): Tensor {
  const handle = nativeOf(v, 'v');
  return wrap(addon.norm(handle, reduceMask(v.shape.length, options)), v.device);
}

/** @internal Norm scales of many layers in one operation. */
export function scales(segments: { v: Tensor; g: Tensor; reduce: number; eps: number | undefined }[]): Tensor[] {
  const device = (segments[0] as { v: Tensor }).v.device;
  return addon
    .scales(
      segments.map((s) => nativeOf(s.v, 'weight_v')),
      segments.map((s) => nativeOf(s.g, 'weight_g')),
      segments.map((s) => s.reduce),
      segments.map((s) => s.eps),
    )
    .map((handle) => wrap(handle, device));
}

function maybe(tensor: Tensor | null | undefined, argument: string): NativeTensor | null {
  return tensor == null ? null : nativeOf(tensor, argument);
}

function nativeActivation(spec: ActivationSpec | undefined): NativeActivation | null {
  if (!spec || spec.kind === 'none') return null;
  return { kind: activationKinds[spec.kind], param: spec.param ?? 0, logScale: spec.logScale ?? false, alpha: maybe(spec.alpha, 'alpha') };
}

/** y = x · weightᵀ + bias; x [..., in], weight [out, in], bias [out]. */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor | null): Tensor {
  return linearFused(x, weight, bias, {});
}

/** @internal linear with the norm scale and activation of a layer. */
export function linearFused(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null | undefined,
  fusion: { scale?: Tensor | undefined; post?: ActivationSpec | undefined },
): Tensor {
  return wrap(
    addon.linear(nativeOf(x, 'x'), nativeOf(weight, 'weight'), maybe(bias, 'bias'), maybe(fusion.scale, 'scale'), nativeActivation(fusion.post)),
    x.device,
  );
}

const paddingModes: readonly PaddingMode[] = ['zeros', 'reflect', 'replicate', 'circular'];

function paddingMode(mode: unknown): number {
  const code = paddingModes.indexOf((mode ?? 'zeros') as PaddingMode);
  if (code < 0) fail('ERR_ARGUMENT', `paddingMode is ${describe(mode)}; it must be one of ${paddingModes.join(', ')}`);
  return code;
}

/** One number an axis from a number or an array of them. */
export function extents(value: unknown, axes: number, argument: string, least: number, fallback: number): number[] {
  const list = value === undefined ? fallback : value;
  if (Array.isArray(list)) {
    if (list.length !== axes)
      fail('ERR_ARGUMENT', `${argument} is ${describe(value)}; it must be a number or ${axes === 1 ? 'one number' : `${axes} numbers, one an axis`}`);
    return list.map((item) => integer(item, argument, least));
  }
  return new Array<number>(axes).fill(integer(list, argument, least));
}

/** [begin, end] of each axis from a padding option. */
export function paddings(padding: Padding | undefined, kernel: readonly number[], stride: readonly number[], dilation: readonly number[]): [number, number][] {
  const axes = kernel.length;
  if (padding === undefined || padding === 'valid') return kernel.map(() => [0, 0]);
  if (padding === 'same') {
    if (stride.some((s) => s !== 1)) fail('ERR_ARGUMENT', `padding is 'same', which needs stride 1; stride is ${describe(stride)}`);
    // torch's rule: the odd element goes to the end.
    return kernel.map((k, i) => {
      const total = (dilation[i] as number) * (k - 1);
      return [Math.floor(total / 2), total - Math.floor(total / 2)];
    });
  }
  if (typeof padding === 'number') return kernel.map(() => [integer(padding, 'padding', 0), padding]);
  if (!Array.isArray(padding)) fail('ERR_ARGUMENT', `padding is ${describe(padding)}; it must be a number, a pair, 'same' or 'valid'`);
  if (axes === 1 && padding.length === 2) return [[integer(padding[0], 'padding', 0), integer(padding[1], 'padding', 0)]];
  if (padding.length !== axes) fail('ERR_ARGUMENT', `padding is ${describe(padding)}; it must have ${axes === 1 ? '1 or 2' : axes} entries`);
  return padding.map((side) => {
    if (!Array.isArray(side)) return [integer(side, 'padding', 0), side as number];
    if (side.length !== 2) fail('ERR_ARGUMENT', `padding is ${describe(padding)}; an axis takes a number or [begin, end]`);
    return [integer(side[0], 'padding', 0), integer(side[1], 'padding', 0)];
  });
}

const directFlag = (algorithm: unknown): number => {
  if (algorithm !== undefined && algorithm !== 'auto' && algorithm !== 'direct')
    fail('ERR_ARGUMENT', `algorithm is ${describe(algorithm)}; it must be 'auto' or 'direct'`);
  return algorithm === 'direct' ? 4 : 0;
};

/** @internal Geometry for the add-on from options; `axes` is 1 or 2. */
export function convGeometry(kernel: readonly number[], options: AnyConvOptions, transposed: boolean): ConvGeometry {
  const axes = kernel.length;
  const geometry = new Float64Array(14);
  const stride = extents(options.stride, axes, 'stride', 1, 1);
  const dilation = extents(options.dilation, axes, 'dilation', 1, 1);
  if (transposed && options.padding === 'same') fail('ERR_ARGUMENT', "padding is 'same'; a transposed convolution takes a number, a pair or 'valid'");
  const pads = paddings(options.padding, kernel, stride, dilation);
  const outputPadding = extents(options.outputPadding, axes, 'outputPadding', 0, 0);
  geometry.fill(1, 0, 4);
  for (let i = 0; i < axes; i++) {
    const slot = i + 2 - axes;
    geometry[slot] = stride[i] as number;
    geometry[2 + slot] = dilation[i] as number;
    [geometry[4 + slot], geometry[6 + slot]] = pads[i] as [number, number];
    geometry[8 + slot] = outputPadding[i] as number;
  }
  geometry[10] = integer(options.groups ?? 1, 'groups', 1);
  geometry[11] = paddingMode(options.paddingMode);
  geometry[12] = 1;
  geometry[13] = (transposed ? 1 : 0) | directFlag(options.algorithm);
  return geometry;
}

/** @internal A convolution with everything a layer fuses into it. */
export function convFused(x: Tensor, weight: Tensor, bias: Tensor | null | undefined, geometry: ConvGeometry, fusion: ConvFusion): Tensor {
  let numbers = geometry;
  if (fusion.outScale !== undefined || fusion.scalePerInput) {
    numbers = geometry.slice();
    numbers[12] = fusion.outScale ?? 1;
    if (fusion.scalePerInput) numbers[13] = (numbers[13] as number) | 2;
  }
  return wrap(
    addon.conv(
      nativeOf(x, 'x'),
      nativeOf(weight, 'weight'),
      maybe(bias, 'bias'),
      maybe(fusion.scale, 'scale'),
      maybe(fusion.residual, 'residual'),
      maybe(fusion.running, 'running'),
      numbers,
      nativeActivation(fusion.pre),
      nativeActivation(fusion.post),
    ),
    x.device,
  );
}

function convolve(
  name: string,
  axes: number,
  transposed: boolean,
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null | undefined,
  options: AnyConvOptions,
): Tensor {
  nativeOf(x, 'x');
  nativeOf(weight, 'weight');
  for (const [argument, tensor] of [
    ['x', x],
    ['weight', weight],
  ] as const) {
    if (tensor.shape.length !== axes + 2) fail('ERR_SHAPE', `${name}: ${argument} has shape [${tensor.shape.join(', ')}]; it must have rank ${axes + 2}`);
  }
  return convFused(x, weight, bias, convGeometry(weight.shape.slice(2), options, transposed), {});
}

/** Cross-correlation of x [N, C, L] with weight [O, C/groups, K], plus bias [O]; returns [N, O, L']. */
export function conv1d(x: Tensor, weight: Tensor, bias?: Tensor | null, options: ConvOptions = {}): Tensor {
  return convolve('conv1d', 1, false, x, weight, bias, options);
}

/** Cross-correlation of x [N, C, H, W] with weight [O, C/groups, KH, KW], plus bias [O]; returns [N, O, H', W']. */
export function conv2d(x: Tensor, weight: Tensor, bias?: Tensor | null, options: ConvOptions = {}): Tensor {
  return convolve('conv2d', 2, false, x, weight, bias, options);
}

/** Transposed convolution of x [N, C, L] with weight [C, O/groups, K], plus bias [O]; returns [N, O, L']. */
export function convTranspose1d(x: Tensor, weight: Tensor, bias?: Tensor | null, options: ConvTransposeOptions = {}): Tensor {
  return convolve('convTranspose1d', 1, true, x, weight, bias, options);
}

/** Transposed convolution of x [N, C, H, W] with weight [C, O/groups, KH, KW], plus bias [O]; returns [N, O, H', W']. */
export function convTranspose2d(x: Tensor, weight: Tensor, bias?: Tensor | null, options: ConvTransposeOptions = {}): Tensor {
  return convolve('convTranspose2d', 2, true, x, weight, bias, options);
}

/** @internal Any activation, elementwise. */
export function activate(x: Tensor, spec: ActivationSpec): Tensor {
  const handle = nativeOf(x, 'x');
  return wrap(addon.activation(handle, nativeActivation(spec) as NativeActivation), x.device);
}

/** x where x ≥ 0, else slope · x. */
export function leakyRelu(x: Tensor, slope = 0.01): Tensor {
  return activate(x, { kind: 'leakyRelu', param: finite(slope, 'slope') });
}

/** max(x, 0). */
export function relu(x: Tensor): Tensor {
  return activate(x, { kind: 'relu' });
}

/** x where x > 0, else alpha · (eˣ − 1). */
export function elu(x: Tensor, alpha = 1): Tensor {
  return activate(x, { kind: 'elu', param: finite(alpha, 'alpha') });
}

/** x · Φ(x), exact (erf). */
export function gelu(x: Tensor): Tensor {
  return activate(x, { kind: 'gelu' });
}

/** x · sigmoid(x). */
export function silu(x: Tensor): Tensor {
  return activate(x, { kind: 'silu' });
}

/** 1 / (1 + e⁻ˣ). */
export function sigmoid(x: Tensor): Tensor {
  return activate(x, { kind: 'sigmoid' });
}

/** Hyperbolic tangent. */
export function tanh(x: Tensor): Tensor {
  return activate(x, { kind: 'tanh' });
}

/** x + sin²(αx)/(α + 1e-9) (Ziyin et al. 2020), α per channel: shape [C] or [1, C, 1]; with logScale α = exp(alpha). */
export function snake(x: Tensor, alpha: Tensor, options: { logScale?: boolean } = {}): Tensor {
  nativeOf(alpha, 'alpha');
  return activate(x, { kind: 'snake', alpha, logScale: options.logScale ?? false });
}

/** eˣ. */
export function exp(x: Tensor): Tensor {
  return activate(x, { kind: 'exp' });
}

/** sin x, x in radians. */
export function sin(x: Tensor): Tensor {
  return activate(x, { kind: 'sin' });
}

/** x to the power of the number p. */
export function pow(x: Tensor, p: number): Tensor {
  return activate(x, { kind: 'pow', param: finite(p, 'p') });
}

function arithmetic(kind: number, a: Tensor | number, b: Tensor | number): Tensor {
  if (typeof a === 'number' && typeof b === 'number') fail('ERR_ARGUMENT', 'a and b are both numbers; at least one must be a Tensor');
  const left = typeof a === 'number' ? a : nativeOf(a, 'a');
  const right = typeof b === 'number' ? b : nativeOf(b, 'b');
  return wrap(addon.arithmetic(kind, left, right), (typeof a === 'number' ? (b as Tensor) : a).device);
}

/** a + b with NumPy broadcasting. */
export function add(a: Tensor | number, b: Tensor | number): Tensor {
  return arithmetic(0, a, b);
}

/** a − b with NumPy broadcasting. */
export function sub(a: Tensor | number, b: Tensor | number): Tensor {
  return arithmetic(1, a, b);
}

/** a · b with NumPy broadcasting. */
export function mul(a: Tensor | number, b: Tensor | number): Tensor {
  return arithmetic(2, a, b);
}

/** a / b with NumPy broadcasting. */
export function div(a: Tensor | number, b: Tensor | number): Tensor {
  return arithmetic(3, a, b);
}

/** x with `left` and `right` steps added to its last axis. */
export function pad(x: Tensor, [left, right]: readonly [number, number], options: { mode?: PaddingMode } = {}): Tensor {
  return wrap(addon.pad(nativeOf(x, 'x'), integer(left, 'left', 0), integer(right, 'right', 0), paddingMode(options.mode)), x.device);
}

/** A copy of x[start : start + length] along an axis; a negative start counts from the end. */
export function narrow(x: Tensor, axis: number, start: number, length: number): Tensor {
  const handle = nativeOf(x, 'x');
  const index = resolveAxis(axis, x.shape.length, 'axis');
  const from = Number.isInteger(start) && start < 0 ? start + (x.shape[index] as number) : start;
  return wrap(addon.narrow(handle, index, integer(from, 'start', 0), integer(length, 'length', 1)), x.device);
}

/** Tensors joined along an axis. */
export function cat(tensors: readonly Tensor[], axis = 0): Tensor {
  if (!Array.isArray(tensors) || tensors.length === 0) fail('ERR_ARGUMENT', `tensors is ${describe(tensors)}; it must be a non-empty array of Tensors`);
  const handles = tensors.map((tensor, i) => nativeOf(tensor, `tensors[${i}]`));
  const first = tensors[0] as Tensor;
  return wrap(addon.concat(handles, resolveAxis(axis, first.shape.length, 'axis')), first.device);
}

/** Nearest-neighbour upsampling: every step of the last axis repeated `factor` times. */
export function interpolate(x: Tensor, factor: number): Tensor {
  return wrap(addon.interpolate(nativeOf(x, 'x'), integer(factor, 'factor', 1)), x.device);
}

function reduction(x: Tensor, axes: readonly number[] | number | undefined, mean: boolean, keepDims: boolean): Tensor {
  const handle = nativeOf(x, 'x');
  const rank = x.shape.length;
  const mask = axes === undefined ? (1 << rank) - 1 : axesMask(typeof axes === 'number' ? [axes] : axes, rank, 'axes');
  return wrap(addon.reduce(handle, mask, mean, keepDims), x.device);
}

/** Sum over `axes` (default: all); reduced axes are dropped, or kept as 1 with keepDims. */
export function sum(x: Tensor, axes?: readonly number[] | number, options: { keepDims?: boolean } = {}): Tensor {
  return reduction(x, axes, false, options.keepDims ?? false);
}

/** Mean over `axes` (default: all); reduced axes are dropped, or kept as 1 with keepDims. */
export function mean(x: Tensor, axes?: readonly number[] | number, options: { keepDims?: boolean } = {}): Tensor {
  return reduction(x, axes, true, options.keepDims ?? false);
}

/** Matrix product of a [..., M, K] and b [..., K, N]; leading axes broadcast. */
export function matmul(a: Tensor, b: Tensor): Tensor {
  return wrap(addon.matmul(nativeOf(a, 'a'), nativeOf(b, 'b')), a.device);
}
