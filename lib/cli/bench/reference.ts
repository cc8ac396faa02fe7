import type { Case, Variant } from './report.js';

/** Host copies of what a case computes with. */
export interface Operands {
  v: Float32Array;
  /** One number an index of the first axis. */
  g: Float32Array;
  bias: Float32Array;
  x: Float32Array;
  /** Gradient of the loss by w. */
  gradient: Float32Array;
}

const product = (shape: readonly number[]): number => shape.reduce((total, size) => total * size, 1);

/** g/‖v‖ of each index of the first axis, in float64. */
function scales({ v, g }: Operands): Float64Array {
  const length = v.length / g.length;
  return Float64Array.from(g, (gain, row) => {
    let squares = 0;
    for (let i = row * length; i < (row + 1) * length; i++) squares += (v[i] as number) ** 2;
    return gain / Math.sqrt(squares);
  });
}

/** Geometry of a case as a 2-D convolution; a product is a convolution of kernel 1. */
function geometry({ family, weight, x, stride, padding, dilation, groups }: Case) {
  const pair = (values: number[], fill: number): [number, number] => [...new Array<number>(2 - values.length).fill(fill), ...values] as [number, number];
  const linear = family === 'Linear';
  const input = linear ? [x[0], x[1]] : x;
  const [kernel, size] = [pair(weight.slice(2), 1), pair(input.slice(2) as number[], 1)];
  const [s, p, d] = [pair(stride, 1), pair(padding, 0), pair(dilation, 1)];
  const transposed = family === 'ConvTranspose1d';
  const out = size.map((length, i) => {
    const reach = (d[i] as number) * ((kernel[i] as number) - 1) + 1;
    const padded = 2 * (p[i] as number);
    return transposed ? (length - 1) * (s[i] as number) - padded + reach : Math.floor((length + padded - reach) / (s[i] as number)) + 1;
  }) as [number, number];
  const batch = input[0] as number;
  const channels = transposed ? (weight[1] as number) * groups : (weight[0] as number);
  return { kernel, size, s, p, d, out, batch, channels, inputs: input[1] as number, transposed, groups };
}

/** Multiplications and additions of a layer's forward. */
export function operationsOf(item: Case): number {
  const { size, out, batch, transposed } = geometry(item);
  return 2 * product(item.weight) * batch * product(transposed ? size : out);
}

/** Number of values in a layer's output. */
export function outputSize(item: Case): number {
  const { batch, channels, out } = geometry(item);
  return batch * channels * product(out);
}

/** Element `index` of a layer's output, in float64. */
function element(item: Case, operands: Operands, scale: Float64Array, index: number): number {
  const { kernel, size, s, p, d, out, channels, inputs, transposed, groups } = geometry(item);
  const [column, line] = [index % out[1], Math.floor(index / out[1]) % out[0]];
  const channel = Math.floor(index / product(out)) % channels;
  const batch = Math.floor(index / (product(out) * channels));
  const [inGroup, outGroup] = [inputs / groups, channels / groups];
  const group = Math.floor(channel / outGroup);
  const taps = product(kernel);
  let sum = operands.bias[channel] as number;
  for (let c = group * inGroup; c < (group + 1) * inGroup; c++) {
    for (let tap = 0; tap < taps; tap++) {
      const [kx, ky] = [tap % kernel[1], Math.floor(tap / kernel[1])];
      const at = [line, column].map((position, i) => {
        const shift = (i === 0 ? ky : kx) * (d[i] as number);
        return transposed ? (position + (p[i] as number) - shift) / (s[i] as number) : position * (s[i] as number) - (p[i] as number) + shift;
      }) as [number, number];
      if (at.some((position, i) => !Number.isInteger(position) || position < 0 || position >= (size[i] as number))) continue;
      const row = transposed ? c : channel;
      const inner = transposed ? channel - group * outGroup : c - group * inGroup;
      const weight = operands.v[(row * (transposed ? outGroup : inGroup) + inner) * taps + tap] as number;
      const value = operands.x[((batch * inputs + c) * size[0] + at[0]) * size[1] + at[1]] as number;
      sum += weight * (scale[row] as number) * value;
    }
  }
  return sum;
}

/** Relative distance of a layer's output to float64, over elements from all of it. */
export function layerError(item: Case, operands: Operands, output: Float32Array): number {
  if (output.length !== outputSize(item)) return Number.POSITIVE_INFINITY;
  const scale = scales(operands);
  const checked = Math.min(output.length, 257);
  const expected = new Float64Array(checked);
  const actual = new Float64Array(checked);
  for (let i = 0; i < checked; i++) {
    const index = Math.floor((i * (output.length - 1)) / Math.max(1, checked - 1));
    expected[i] = element(item, operands, scale, index);
    actual[i] = output[index] as number;
  }
  return distance(actual, expected);
}

/** Relative distance of what a variant of the op gives to float64; for `backward` that is the gradient of v. */
export function opError(variant: Variant, operands: Operands, output: Float32Array): number {
  const { v, g, gradient } = operands;
  const scale = scales(operands);
  const length = v.length / g.length;
  if (variant === 'copy') return distance(output, v);
  const norms = scale.map((s, row) => (g[row] as number) / s);
  if (variant === 'norm') return distance(output, norms);
  const expected = new Float64Array(v.length);
  for (let row = 0; row < g.length; row++) {
    const [s, n] = [scale[row] as number, norms[row] as number];
    let projection = 0;
    if (variant === 'backward') for (let i = row * length; i < (row + 1) * length; i++) projection += (gradient[i] as number) * (v[i] as number);
    for (let i = row * length; i < (row + 1) * length; i++) {
      expected[i] = variant === 'op' ? (v[i] as number) * s : s * ((gradient[i] as number) - ((v[i] as number) * projection) / (n * n));
    }
  }
  return distance(output, expected);
}

/** ‖actual − expected‖ / ‖expected‖; infinite where lengths differ or a value is not finite. */
export function distance(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let [difference, size] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    difference += ((actual[i] as number) - (expected[i] as number)) ** 2;
    size += (expected[i] as number) ** 2;
  }
  const ratio = Math.sqrt(difference / (size || 1));
  return Number.isNaN(ratio) ? Number.POSITIVE_INFINITY : ratio;
}
