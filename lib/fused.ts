import { addon, type ConvGeometry, type NativeActivation, type NativeTensor } from './native.js';
import { nativeOf, type Tensor, wrap, wrapOne } from './tensor.js';

export type ActivationKind = 'none' | 'leakyRelu' | 'relu' | 'elu' | 'gelu' | 'silu' | 'sigmoid' | 'tanh' | 'snake' | 'exp' | 'sin' | 'pow';

/** @internal Activation codes of the add-on (core::Act). */
const activationKinds: Readonly<Record<ActivationKind, number>> = {
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
  residual?: Tensor | undefined;
  running?: Tensor | undefined;
  pre?: ActivationSpec | undefined;
  post?: ActivationSpec | undefined;
  outScale?: number | undefined;
}

/** @internal A layer's weight as its operation takes it, in torch's order. */
export interface WeightParts {
  weight: Tensor;
  /** float32, one element or one a channel: what the result (or, per input, the activated input) is multiplied by. */
  scale?: Tensor | undefined;
  scalePerInput?: boolean | undefined;
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
    .map((handle) => wrapOne(handle, device));
}

export function maybe(tensor: Tensor | null | undefined, argument: string): NativeTensor | null {
  return tensor == null ? null : nativeOf(tensor, argument);
}

function nativeActivation(spec: ActivationSpec | undefined): NativeActivation | null {
  if (!spec || spec.kind === 'none') return null;
  return { kind: activationKinds[spec.kind], param: spec.param ?? 0, logScale: spec.logScale ?? false, alpha: maybe(spec.alpha, 'alpha') };
}

/** @internal linear with the norm scale and activation of a layer. */
export function linearFused(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null | undefined,
  { scale, post, direct = false }: { scale?: Tensor | undefined; post?: ActivationSpec | undefined; direct?: boolean },
): Tensor {
  return wrap(addon.linear(nativeOf(x, 'x'), nativeOf(weight, 'weight'), maybe(bias, 'bias'), maybe(scale, 'scale'), nativeActivation(post), direct), x.device);
}

const { convNumbers: numbers } = addon;

/** @internal Writes an activation's kind, parameter and log-scale flag to `to` from `at` on; returns its alpha. */
export function writeActivation(to: Float64Array, at: number, spec: ActivationSpec | undefined): NativeTensor | null {
  const kind = spec ? activationKinds[spec.kind] : 0;
  to[at] = kind;
  if (!spec || kind === 0) return null;
  to[at + 1] = spec.param ?? 0;
  to[at + 2] = spec.logScale ? 1 : 0;
  return maybe(spec.alpha, 'alpha');
}

/** @internal A convolution with everything a layer fuses into it. */
export function convFused(x: Tensor, parts: WeightParts, bias: Tensor | null | undefined, geometry: ConvGeometry, fusion: ConvFusion): Tensor {
  // A loop is compiled into the caller; set() is a call.
  for (let i = 0; i < geometry.length; i++) numbers[i] = geometry[i] as number;
  if (fusion.outScale !== undefined) numbers[12] = fusion.outScale;
  if (parts.scalePerInput) numbers[13] = (numbers[13] as number) | 2;
  const input = nativeOf(x, 'x');
  const weight = nativeOf(parts.weight, 'weight');
  const offset = maybe(bias, 'bias');
  const scale = maybe(parts.scale, 'scale');
  const residual = maybe(fusion.residual, 'residual');
  const running = maybe(fusion.running, 'running');
  const pre = writeActivation(numbers, 14, fusion.pre);
  const post = writeActivation(numbers, 17, fusion.post);
  // Six arguments are cheaper than eight.
  const made =
    pre || post ? addon.conv(input, weight, offset, scale, residual, running, pre, post) : addon.conv(input, weight, offset, scale, residual, running);
  return wrap(made, x.device);
}

/** @internal Any activation, elementwise. */
export function activate(x: Tensor, spec: ActivationSpec): Tensor {
  const handle = nativeOf(x, 'x');
  return wrap(addon.activation(handle, nativeActivation(spec) as NativeActivation), x.device);
}
