import { integer } from './axes.js';
import { describe, fail } from './errors.js';
import type { ConvGeometry } from './native.js';

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

const paddingModes: readonly PaddingMode[] = ['zeros', 'reflect', 'replicate', 'circular'];

export function paddingMode(mode: unknown): number {
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

/** Whether `algorithm` says 'direct'. */
export function isDirect(algorithm: unknown): boolean {
  if (algorithm !== undefined && algorithm !== 'auto' && algorithm !== 'direct')
    fail('ERR_ARGUMENT', `algorithm is ${describe(algorithm)}; it must be 'auto' or 'direct'`);
  return algorithm === 'direct';
}

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
  geometry[13] = (transposed ? 1 : 0) | (isDirect(options.algorithm) ? 4 : 0);
  return geometry;
}
