import { describe, fail } from './errors.js';

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

export function finite(value: unknown, argument: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) fail('ERR_ARGUMENT', `${argument} is ${describe(value)}; it must be a finite number`);
  return value;
}

/** An integer argument of at least `least`. */
export function integer(value: unknown, argument: string, least: number): number {
  if (!Number.isSafeInteger(value) || (value as number) < least)
    fail('ERR_ARGUMENT', `${argument} is ${describe(value)}; it must be an integer of at least ${least}`);
  return value as number;
}

/** `name` says whose argument it is. */
export function requireRank(name: string, argument: string, shape: readonly number[], rank: number): void {
  if (shape.length !== rank) fail('ERR_SHAPE', `${name}: ${argument} has shape [${shape.join(', ')}]; it must have rank ${rank}`);
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
