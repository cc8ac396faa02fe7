import { axesMask, checkEps, finite, integer, type NormAxes, reduceMask, requireRank, resolveAxis, type WeightNormOptions } from './axes.js';
import { type AnyConvOptions, type ConvOptions, type ConvTransposeOptions, convGeometry, newGeometry, type PaddingMode, paddingMode } from './conv-options.js';
import { describe, fail } from './errors.js';
import { activate, convFused, linearFused } from './fused.js';
import { addon } from './native.js';
import { nativeOf, type Tensor, wrap, wrapOne } from './tensor.js';

export type { NormAxes, WeightNormOptions } from './axes.js';
export type { ConvOptions, ConvTransposeOptions, Extent, Padding, PaddingMode } from './conv-options.js';

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
  return { gradV: wrapOne(gradV, v.device), gradG: wrapOne(gradG, v.device) };
}

/** The Euclidean norm ‖v‖ over the chosen axes, float32, normalised axes kept as 1. */
export function norm(v: Tensor, options: NormAxes = {}): Tensor {
  const handle = nativeOf(v, 'v');
  return wrap(addon.norm(handle, reduceMask(v.shape.length, options)), v.device);
}

/** y = x · weightᵀ + bias; x [..., in], weight [out, in], bias [out]. */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor | null): Tensor {
  return linearFused(x, weight, bias, {});
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
  requireRank(name, 'x', x.shape, axes + 2);
  requireRank(name, 'weight', weight.shape, axes + 2);
  return convFused(x, { weight }, bias, convGeometry(weight.shape.slice(2), options, transposed, scratch), {});
}

/** Geometries that end with their call. */
const scratch = newGeometry();

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
