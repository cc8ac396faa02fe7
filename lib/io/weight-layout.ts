import { describe, fail } from '../errors.js';
import { elementBytes, type OpenTensor } from './stored.js';
import { gather, rowMajor } from './strided.js';
import { parseNormedKey } from './weight-norm-keys.js';

/** Layers by name, where `*` stands for one part between dots, and their numbers of groups. */
export type TransposedLayers = Readonly<Record<string, number>>;

/**
 * Tensors with the weights of convolutions in MLX's layout, [O, K…, I/g], for those in torch's: [O, I/g, K…], transposed
 * [I, O/g, K…]. A convolution's weight is one called `weight` of rank 3 or more; its g moves with it.
 */
export function layoutPlan(tensors: readonly OpenTensor[], transposed: TransposedLayers, path: string): OpenTensor[] {
  const patterns = Object.entries(transposed).map(([pattern, groups]) => {
    if (!Number.isSafeInteger(groups) || groups < 1)
      fail('ERR_ARGUMENT', `transposed[${describe(pattern)}] is ${describe(groups)}; it must be a number of groups, at least 1`);
    return { pattern, groups, matches: matcher(pattern), used: false };
  });
  const laid = tensors.map((tensor) => {
    const { name, gain } = weightOf(tensor.name);
    if (name === null || tensor.shape.length < 3) return tensor;
    const found = patterns.find(({ matches }) => matches.test(name));
    if (!found) return moved(tensor, { view: tensor.shape, axes: lastAxes(tensor.shape.length), shape: channelsLast(tensor.shape) }, path);
    found.used = true;
    return moved(tensor, transposedMove(tensor, gain ? 1 : found.groups, path), path);
  });
  const idle = patterns.find(({ used }) => !used);
  if (idle) fail('ERR_KEYS', `${path}: transposed names ${describe(idle.pattern)}, which is no layer with a convolution's weight in it`);
  return laid;
}

interface Move {
  /** The weight's shape, groups apart. */
  view: readonly number[];
  /** Order of the view's axes in the result. */
  axes: readonly number[];
  shape: number[];
}

/** The layer whose weight a tensor is, or is the g of; null for other tensors. */
function weightOf(tensor: string): { name: string | null; gain: boolean } {
  const normed = parseNormedKey(tensor);
  const name = normed?.name ?? tensor;
  if (name !== 'weight' && !name.endsWith('.weight')) return { name: null, gain: false };
  return { name: name.slice(0, -'.weight'.length), gain: normed?.part === 'g' };
}

function matcher(pattern: string): RegExp {
  const escaped = pattern
    .split('*')
    .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
    .join('[^.]*');
  return new RegExp(`^${escaped}$`);
}

function lastAxes(rank: number): number[] {
  return [0, ...Array.from({ length: rank - 2 }, (_, i) => i + 2), 1];
}

function channelsLast(shape: readonly number[]): number[] {
  return lastAxes(shape.length).map((axis) => shape[axis] as number);
}

/** [I, O/g, K…] as [g, I/g, O/g, K…], whose axes become [g, O/g, K…, I/g]. */
function transposedMove({ name, shape }: OpenTensor, groups: number, path: string): Move {
  const [inputs, outputs, ...kernel] = shape as [number, number, ...number[]];
  if (inputs % groups !== 0) fail('ERR_SHAPE', `${path}: tensor ${describe(name)} has ${inputs} input channels, which ${groups} groups do not divide`);
  const spatial = kernel.map((_, i) => i + 3);
  return {
    view: [groups, inputs / groups, outputs, ...kernel],
    axes: [0, 2, ...spatial, 1],
    shape: [outputs * groups, ...kernel, inputs / groups],
  };
}

function moved(tensor: OpenTensor, { view, axes, shape }: Move, path: string): OpenTensor {
  const strides = rowMajor(view);
  const pick = (of: readonly number[]): number[] => axes.map((axis) => of[axis] as number);
  const read = async (): Promise<Uint8Array<ArrayBuffer>> =>
    gather(await tensor.read(), elementBytes[tensor.dtype] as number, { start: 0, shape: pick(view), strides: pick(strides) }, path);
  return {
    ...tensor,
    shape,
    read,
    pieces: async function* () {
      yield await read();
    },
  };
}
