import { describe, fail } from '../errors.js';
import { nativeOf, type Tensor } from '../tensor.js';

/**
 * Order of the axes of data and convolution weights. 'torch': data [N, C, L] or [N, C, H, W], weights [O, I/g, K…],
 * transposed convolutions [I, O/g, K…]. 'mlx': data [N, L, C] or [N, H, W, C], weights [O, K…, I/g] for both.
 * It is always said, never guessed from shapes.
 */
export type Layout = 'torch' | 'mlx';

/** What orders a convolution's weight. */
export interface WeightOrder {
  /** Number of spatial axes: 1 or 2. */
  spatial: number;
  transposed: boolean;
  groups: number;
}

/** @internal */
export function checkLayout(layout: unknown, argument = 'layout'): Layout {
  if (layout !== undefined && layout !== 'torch' && layout !== 'mlx') fail('ERR_ARGUMENT', `${argument} is ${describe(layout)}; it must be 'torch' or 'mlx'`);
  return layout ?? 'torch';
}

/** A copy of data with its channels moved: [N, C, …] to [N, …, C] or back. Throws ERR_SHAPE below rank 3. */
export function convertLayout(x: Tensor, from: Layout, to: Layout): Tensor {
  nativeOf(x, 'x');
  const rank = x.shape.length;
  if (rank < 3) fail('ERR_SHAPE', `x has shape [${x.shape.join(', ')}]; layouts are of data of rank 3 ([N, C, L] or [N, L, C]) or more`);
  if (checkLayout(from, 'from') === checkLayout(to, 'to')) return x.clone();
  return x.transpose(to === 'mlx' ? channelsLast(rank) : channelsFirst(rank));
}

/** @internal Permutation of [N, C, …] into [N, …, C]. */
export function channelsLast(rank: number): number[] {
  return [0, ...range(2, rank), 1];
}

/** @internal Permutation of [N, …, C] into [N, C, …]. */
export function channelsFirst(rank: number): number[] {
  return [0, rank - 1, ...range(1, rank - 1)];
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

/** Which axis of the source layout each axis of the target is, ignoring groups. */
function axisOrder(to: Layout, { spatial, transposed }: WeightOrder): number[] {
  const rank = spatial + 2;
  if (!transposed) return to === 'mlx' ? channelsLast(rank) : channelsFirst(rank);
  return to === 'mlx' ? [...range(1, rank), 0] : [rank - 1, ...range(0, rank - 1)];
}

/** The shape under another layout of a weight of this shape; null when it has the wrong rank or does not divide into its groups. */
export function convertedShape(shape: readonly number[], from: Layout, to: Layout, order: WeightOrder): number[] | null {
  if (shape.length !== order.spatial + 2) return null;
  if (from === to) return [...shape];
  const result = axisOrder(to, order).map((axis) => shape[axis] as number);
  if (!order.transposed) return result;
  // Torch counts groups in I and divides O; MLX the other way round.
  const [whole, part] = to === 'mlx' ? [result.length - 1, 0] : [1, 0];
  const divided = (result[whole] as number) / order.groups;
  if (!Number.isInteger(divided)) return null;
  result[whole] = divided;
  result[part] = (result[part] as number) * order.groups;
  return result;
}

/** @internal The shape under another layout of a weight's g: its axes permuted, whatever the groups. */
export function convertedGainShape(shape: readonly number[], from: Layout, to: Layout, order: WeightOrder): number[] {
  if (from === to || shape.length !== order.spatial + 2) return [...shape];
  return axisOrder(to, order).map((axis) => shape[axis] as number);
}

/** A copy of a convolution weight in another layout. Throws ERR_SHAPE when its shape is not that of such a weight. */
export function convertWeight(weight: Tensor, from: Layout, to: Layout, order: WeightOrder): Tensor {
  nativeOf(weight, 'weight');
  const shape = convertedShape(weight.shape, from, to, order);
  if (!shape) {
    const given = `[${weight.shape.join(', ')}]`;
    fail('ERR_SHAPE', `weight has shape ${given}; in layout '${from}' a weight with ${order.groups} groups has rank ${order.spatial + 2} and whole groups`);
  }
  if (from === to) return weight.clone();
  if (!order.transposed || order.groups === 1) return weight.transpose(axisOrder(to, order));
  // [g, I/g, O/g, K…] against [g, O/g, K…, I/g].
  const { groups } = order;
  const [first, ...rest] = weight.shape as [number, ...number[]];
  const grouped = weight.reshape([groups, first / groups, ...rest]);
  const rank = grouped.shape.length;
  const moved = grouped.transpose(to === 'mlx' ? [0, ...range(2, rank), 1] : [0, rank - 1, ...range(1, rank - 1)]);
  const result = moved.reshape(shape);
  grouped.dispose();
  moved.dispose();
  return result;
}

/** @internal A copy of a weight's g in another layout. */
export function convertGain(g: Tensor, from: Layout, to: Layout, order: WeightOrder): Tensor {
  if (from === to || g.shape.length !== order.spatial + 2) return g.clone();
  return g.transpose(axisOrder(to, order));
}
