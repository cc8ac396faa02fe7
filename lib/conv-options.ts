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

/** The number of one of `axes` axes from a number or an array of them; `least` where there is none. */
function extent(value: unknown, axis: number, axes: number, argument: string, least: number): number {
  if (value === undefined) return least;
  if (!Array.isArray(value)) return integer(value, argument, least);
  if (value.length !== axes)
    fail('ERR_ARGUMENT', `${argument} is ${describe(value)}; it must be a number or ${axes === 1 ? 'one number' : `${axes} numbers, one an axis`}`);
  return integer(value[axis], argument, least);
}

/** One number an axis from a number or an array of them. */
export function extents(value: unknown, axes: number, argument: string, least: number): number[] {
  return Array.from({ length: axes }, (_, axis) => extent(value, axis, axes, argument, least));
}

/** Writes begin and end of an axis to `geometry`, whose strides and dilations are there already. */
function writePadding(geometry: ConvGeometry, slot: number, padding: Padding | undefined, kernel: readonly number[], axis: number): void {
  let begin = 0;
  let end = 0;
  if (typeof padding === 'number') {
    begin = end = integer(padding, 'padding', 0);
  } else if (padding === 'same') {
    const stride = geometry[slot] as number;
    if (stride !== 1) fail('ERR_ARGUMENT', `padding is 'same', which needs stride 1; stride is ${stride}`);
    // torch's rule: the odd element goes to the end.
    const total = (geometry[2 + slot] as number) * ((kernel[axis] as number) - 1);
    begin = Math.floor(total / 2);
    end = total - begin;
  } else if (padding !== undefined && padding !== 'valid') {
    [begin, end] = paddingPair(padding, axis, kernel.length);
  }
  geometry[4 + slot] = begin;
  geometry[6 + slot] = end;
}

function paddingPair(padding: unknown, axis: number, axes: number): [number, number] {
  if (!Array.isArray(padding)) fail('ERR_ARGUMENT', `padding is ${describe(padding)}; it must be a number, a pair, 'same' or 'valid'`);
  if (axes === 1 && padding.length === 2) return [integer(padding[0], 'padding', 0), integer(padding[1], 'padding', 0)];
  if (padding.length !== axes) fail('ERR_ARGUMENT', `padding is ${describe(padding)}; it must have ${axes === 1 ? '1 or 2' : axes} entries`);
  const side = padding[axis];
  if (!Array.isArray(side)) return [integer(side, 'padding', 0), side];
  if (side.length !== 2) fail('ERR_ARGUMENT', `padding is ${describe(padding)}; an axis takes a number or [begin, end]`);
  return [integer(side[0], 'padding', 0), integer(side[1], 'padding', 0)];
}

/** Whether `algorithm` says 'direct'. */
export function isDirect(algorithm: unknown): boolean {
  if (algorithm !== undefined && algorithm !== 'auto' && algorithm !== 'direct')
    fail('ERR_ARGUMENT', `algorithm is ${describe(algorithm)}; it must be 'auto' or 'direct'`);
  return algorithm === 'direct';
}

/** @internal A geometry without numbers yet. */
export const newGeometry = (): ConvGeometry => new Float64Array(14);

/** @internal Geometry for the add-on from options, written to `geometry`; one number a spatial axis of the kernel, 1 or 2 of them. */
export function convGeometry(kernel: readonly number[], options: AnyConvOptions, transposed: boolean, geometry: ConvGeometry = newGeometry()): ConvGeometry {
  const axes = kernel.length;
  if (transposed && options.padding === 'same') fail('ERR_ARGUMENT', "padding is 'same'; a transposed convolution takes a number, a pair or 'valid'");
  geometry.fill(1, 0, 4);
  geometry.fill(0, 4, 10);
  for (let axis = 0; axis < axes; axis++) {
    const slot = axis + 2 - axes;
    geometry[slot] = extent(options.stride, axis, axes, 'stride', 1);
    geometry[2 + slot] = extent(options.dilation, axis, axes, 'dilation', 1);
    writePadding(geometry, slot, options.padding, kernel, axis);
    geometry[8 + slot] = extent(options.outputPadding, axis, axes, 'outputPadding', 0);
  }
  geometry[10] = integer(options.groups ?? 1, 'groups', 1);
  geometry[11] = paddingMode(options.paddingMode);
  geometry[12] = 1;
  geometry[13] = (transposed ? 1 : 0) | (isDirect(options.algorithm) ? 4 : 0);
  return geometry;
}
