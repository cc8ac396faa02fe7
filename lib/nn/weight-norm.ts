import { reduceMask, type WeightNormOptions } from '../axes.js';
import { describe, fail } from '../errors.js';
import { norm as normOf } from '../functional.js';
import { untracked } from '../scope.js';
import { nativeOf, type Tensor } from '../tensor.js';
import { convertedGainShape, convertedShape, convertGain, convertWeight } from './layout.js';
import type { Module } from './module.js';
import { NormedWeight, normsOf, type WeightFrame } from './normed-weight.js';
import { retire } from './parameters.js';
import { isModule, isTensor, join, modulesOf } from './walk.js';

export interface ModuleWeightNormOptions extends WeightNormOptions {
  /** Field of the module that holds the weight. Default 'weight'. */
  name?: string;
}

function requireModule(module: unknown, argument: string): asserts module is Module {
  if (!isModule(module)) fail('ERR_ARGUMENT', `${argument} is ${describe(module)}; it must be a Module`);
}

/**
 * Weight-normalises a layer in place and returns it: its field `weight` becomes weight_g and weight_v, with v = weight and
 * g its norm, so the layer computes what it computed before. `dim` (kept axis, default 0, null for none) or `axes`
 * (normalised axes) count torch's weight order whatever the layer's layout. g is float32; of `dim: null` its shape is [].
 * Reading `module.weight` afterwards gives w, computed when g or v changed; it belongs to the module. Any Module that
 * holds a Tensor `name` can be normed. Throws ERR_ALREADY_WEIGHT_NORMED, or ERR_ARGUMENT for a name that holds no Tensor.
 */
export function weightNorm<M extends Module>(module: M, options: ModuleWeightNormOptions = {}): M {
  requireModule(module, 'module');
  const { name = 'weight', ...axes } = options;
  if (typeof name !== 'string') fail('ERR_ARGUMENT', `name is ${describe(name)}; it must be the name of a field`);
  const fields = module as unknown as Record<string, unknown>;
  if (normsOf(module).has(name)) {
    fail(
      'ERR_ALREADY_WEIGHT_NORMED',
      `weightNorm: ${name} of ${module.constructor.name} is weight-normed already; removeWeightNorm first to change its dim, axes or eps`,
    );
  }
  const weight = fields[name];
  if (!isTensor(weight)) {
    const holds = [...Object.keys(fields)].filter((key) => isTensor(fields[key]));
    fail('ERR_ARGUMENT', `weightNorm: ${module.constructor.name} holds no Tensor named ${describe(name)}; it holds ${holds.join(', ') || 'none'}`);
  }
  for (const taken of [`${name}_g`, `${name}_v`]) {
    if (taken in fields) fail('ERR_ARGUMENT', `weightNorm: ${module.constructor.name} has a field ${taken} already`);
  }
  const frame = module.weightFrame(name);
  const norm = new NormedWeight(module, name, frame, axes);
  const g = untracked(() => gainOf(weight, frame, axes));
  norm.attach(g, weight);
  return module;
}

/** @internal The norm of a weight, float32, in the shape that its layer's g has. */
export function gainOf(weight: Tensor, frame: WeightFrame | null, axes: WeightNormOptions): Tensor {
  nativeOf(weight, 'weight');
  const norm: { dim?: number | null; axes?: readonly number[] } = {};
  if (axes.dim !== undefined) norm.dim = axes.dim;
  if (axes.axes !== undefined) norm.axes = axes.axes;
  const whole = reduceMask(weight.shape.length, norm) === (1 << weight.shape.length) - 1;
  const order = frame?.order;
  const used: Tensor[] = [];
  const keep = (tensor: Tensor): Tensor => {
    used.push(tensor);
    return tensor;
  };
  try {
    const torch = order && frame.layout === 'mlx' ? keep(convertWeight(weight, 'mlx', 'torch', order)) : weight;
    const g = keep(normOf(torch, norm));
    if (norm.dim === null && whole) return g.reshape([]);
    if (order && frame.layout === 'mlx') return convertGain(g, 'torch', 'mlx', order);
    used.pop();
    return g;
  } finally {
    for (const tensor of used) tensor.dispose();
  }
}

/**
 * Makes a normed weight an ordinary field again: w = g · v / ‖v‖, rounded to its dtype. weight_g and weight_v are
 * disposed. Throws ERR_NOT_WEIGHT_NORMED.
 */
export function removeWeightNorm<M extends Module>(module: M, options: { name?: string } = {}): M {
  requireModule(module, 'module');
  const name = options.name ?? 'weight';
  const norm = normsOf(module).get(name);
  if (!norm) fail('ERR_NOT_WEIGHT_NORMED', `removeWeightNorm: ${describe(name)} of ${module.constructor.name} is not weight-normed`);
  replaceByFolded([norm]);
  return module;
}

/**
 * Folds every weight-normed layer of a tree into a plain weight, all queued together, and returns the names of the layers
 * (the root's own is ''; a weight that is not called 'weight' adds its name). A second call finds none and returns [].
 * When it throws, nothing has changed.
 */
export function foldWeightNorm(root: Module): string[] {
  requireModule(root, 'root');
  const found: NormedWeight[] = [];
  const names: string[] = [];
  for (const [module, [path]] of modulesOf(root)) {
    for (const [name, norm] of normsOf(module)) {
      found.push(norm);
      names.push(name === 'weight' ? (path as string) : join(path as string, name));
    }
  }
  replaceByFolded(found);
  return names;
}

function replaceByFolded(found: readonly NormedWeight[]): void {
  const folded: Tensor[] = [];
  untracked(() => {
    try {
      for (const norm of found) folded.push(norm.foldOwn());
    } catch (error) {
      for (const made of folded) made.dispose();
      throw error;
    }
  });
  retire(found.flatMap((norm, i) => norm.detach(folded[i] as Tensor)));
}

/** @internal Which axes a torch g of this shape normalises of a v of that shape; null when it is no g of such a v. */
export function axesOfGain(v: readonly number[], g: readonly number[]): number[] | null {
  if (g.length === 0) return v.map((_, axis) => axis);
  if (g.length !== v.length || g.some((size, axis) => size !== 1 && size !== v[axis])) return null;
  const axes = g.flatMap((size, axis) => (size === 1 ? [axis] : []));
  return axes.length > 0 ? axes : null;
}

/** @internal Shapes of a g and v under torch's layout; null when v is no weight of the layer. */
export function torchShapes(g: readonly number[], v: readonly number[], frame: WeightFrame | null, from: 'torch' | 'mlx'): { g: number[]; v: number[] } | null {
  if (!frame?.order) return { g: [...g], v: [...v] };
  const shape = convertedShape(v, from, 'torch', frame.order);
  return shape && { g: convertedGainShape(g, from, 'torch', frame.order), v: shape };
}
