import type { NormAxes } from '../axes.js';
import { weightNorm } from '../functional.js';
import type { Tensor } from '../tensor.js';
import { convertedGainShape, convertedShape, convertGain, convertWeight, type Layout } from './layout.js';
import type { Module } from './module.js';
import type { NormedWeight, WeightFrame } from './normed-weight.js';
import { join } from './walk.js';
import { axesOfGain, torchShapes } from './weight-norm.js';

export type State = ReadonlyMap<string, Tensor>;

/** How one parameter, or one pair of g and v, gets its values. `old` tensors are the present parameters. */
export type Step =
  | { kind: 'copy'; source: Tensor; old: Tensor; gain: boolean; frame: WeightFrame | null }
  | { kind: 'fold'; g: Tensor; v: Tensor; axes: number[]; old: Tensor; frame: WeightFrame | null }
  | { kind: 'split'; source: Tensor; g: Tensor; v: Tensor; axes: NormAxes; frame: WeightFrame | null };

/** @internal What loading a state will do, made before anything is touched. */
export interface Plan {
  state: State;
  layout: Layout;
  used: Set<string>;
  missing: { name: string; tensor: Tensor }[];
  misshapen: string[];
  steps: Step[];
  /** Parameters that a step provides. */
  planned: Set<Tensor>;
}

interface Found {
  key: string;
  tensor: Tensor;
  /** The same name under every path of a shared module. */
  aliases: string[];
}

/** The first of the names that the state holds under any of the paths. */
function find(plan: Plan, paths: readonly string[], names: readonly string[]): Found | null {
  for (const name of names) {
    const aliases = paths.map((path) => join(path, name));
    const key = aliases.find((alias) => plan.state.has(alias));
    if (key !== undefined) return { key, tensor: plan.state.get(key) as Tensor, aliases };
  }
  return null;
}

/** {@link find}, marking what it finds as taken. */
function take(plan: Plan, paths: readonly string[], names: readonly string[]): Found | null {
  const found = find(plan, paths, names);
  for (const alias of found?.aliases ?? []) plan.used.add(alias);
  return found;
}

const gainNames = (name: string): string[] => [`${name}_g`, `parametrizations.${name}.original0`];
const directionNames = (name: string): string[] => [`${name}_v`, `parametrizations.${name}.original1`];
const same = (a: readonly number[] | null, b: readonly number[]): boolean => a !== null && a.length === b.length && a.every((size, i) => size === b[i]);
const text = (shape: readonly number[] | null): string => (shape ? `[${shape.join(', ')}]` : 'another shape');

function mismatch(plan: Plan, { key, tensor }: Found, wanted: readonly number[] | null): void {
  plan.misshapen.push(`${key} is ${text(tensor.shape)} and must be ${text(wanted)}`);
}

/** Shape of a weight under the state's layout. */
function inState(plan: Plan, shape: readonly number[], frame: WeightFrame | null): readonly number[] | null {
  return frame?.order ? convertedShape(shape, frame.layout, plan.layout, frame.order) : shape;
}

/** A parameter that is no normed weight: from its own name, or folded from g and v. */
export function planPlain(plan: Plan, module: Module, name: string, old: Tensor, paths: readonly string[]): void {
  const frame = module.weightFrame(name);
  const own = take(plan, paths, [name]);
  if (own) {
    const wanted = inState(plan, old.shape, frame);
    if (same(own.tensor.shape, wanted ?? [-1]) || module.checkpointShapes(name).some((shape) => same(own.tensor.shape, shape))) {
      plan.steps.push({ kind: 'copy', source: own.tensor, old, gain: false, frame });
      plan.planned.add(old);
    } else {
      mismatch(plan, own, wanted);
    }
    return;
  }
  // Half a pair says nothing about the weight: it stays unexpected.
  const pair = find(plan, paths, gainNames(name)) && find(plan, paths, directionNames(name));
  if (!pair) {
    plan.missing.push({ name: join(paths[0] as string, name), tensor: old });
    return;
  }
  const g = take(plan, paths, gainNames(name)) as Found;
  const v = take(plan, paths, directionNames(name)) as Found;
  const wanted = inState(plan, old.shape, frame);
  if (!same(v.tensor.shape, wanted ?? [-1])) {
    mismatch(plan, v, wanted);
    return;
  }
  const shapes = torchShapes(g.tensor.shape, v.tensor.shape, frame, plan.layout);
  const axes = shapes && axesOfGain(shapes.v, shapes.g);
  if (!axes) {
    plan.misshapen.push(`${g.key} is ${text(g.tensor.shape)} and must be ${text(v.tensor.shape)} with the normalised axes as 1`);
    return;
  }
  plan.steps.push({ kind: 'fold', g: g.tensor, v: v.tensor, axes, old, frame });
  plan.planned.add(old);
}

/** A normed weight: g and v from either spelling, or both from a plain weight. */
export function planNormed(plan: Plan, norm: NormedWeight, paths: readonly string[]): void {
  const { name, frame, g, v } = norm;
  const foundG = take(plan, paths, gainNames(name));
  const foundV = take(plan, paths, directionNames(name));
  const wantedV = inState(plan, v.shape, frame);
  if (!foundG && !foundV) {
    const plain = take(plan, paths, [name]);
    if (!plain) {
      for (const [suffix, tensor] of [
        ['g', g],
        ['v', v],
      ] as const)
        plan.missing.push({ name: join(paths[0] as string, `${name}_${suffix}`), tensor });
    } else if (!same(plain.tensor.shape, wantedV ?? [-1])) {
      mismatch(plan, plain, wantedV);
    } else {
      plan.steps.push({ kind: 'split', source: plain.tensor, g, v, axes: norm.axes, frame });
      plan.planned.add(g).add(v);
    }
    return;
  }
  if (!foundV) plan.missing.push({ name: join(paths[0] as string, `${name}_v`), tensor: v });
  else if (!same(foundV.tensor.shape, wantedV ?? [-1])) mismatch(plan, foundV, wantedV);
  else {
    plan.steps.push({ kind: 'copy', source: foundV.tensor, old: v, gain: false, frame });
    plan.planned.add(v);
  }
  const gain = norm.gainShape();
  const wantedG = frame?.order ? convertedGainShape(gain, frame.layout, plan.layout, frame.order) : gain;
  if (!foundG) plan.missing.push({ name: join(paths[0] as string, `${name}_g`), tensor: g });
  else if (!same(foundG.tensor.shape, wantedG) && !(norm.wholeTensor && foundG.tensor.shape.length === 0)) mismatch(plan, foundG, wantedG);
  else {
    plan.steps.push({ kind: 'copy', source: foundG.tensor, old: g, gain: true, frame });
    plan.planned.add(g);
  }
}

/** A copy of a tensor in the dtype, on the device and in the shape of a parameter. */
export function adopt(tensor: Tensor, like: Tensor): Tensor {
  let copy = tensor.to(tensor.device === like.device ? like.dtype : like.device);
  const advance = (next: Tensor): void => {
    copy.dispose();
    copy = next;
  };
  if (copy.dtype !== like.dtype) advance(copy.to(like.dtype));
  if (!same(copy.shape, like.shape)) advance(copy.reshape(like.shape));
  return copy;
}

/** w = g · v / ‖v‖ of tensors in the state's layout, computed in the wider of their dtype and the parameter's, as the parameter is. */
export function foldedFrom(g: Tensor, v: Tensor, axes: readonly number[], like: Tensor, frame: WeightFrame | null, layout: Layout): Tensor {
  const used: Tensor[] = [];
  const keep = (tensor: Tensor): Tensor => {
    used.push(tensor);
    return tensor;
  };
  try {
    const wide = like.dtype === v.dtype && g.dtype === v.dtype ? v.dtype : 'float32';
    let [fullG, fullV] = [keep(g.to(wide)), keep(v.to(wide))];
    if (fullG.device !== fullV.device) fullG = keep(fullG.to(fullV.device));
    if (frame?.order && layout === 'mlx') {
      fullG = keep(convertGain(fullG, 'mlx', 'torch', frame.order));
      fullV = keep(convertWeight(fullV, 'mlx', 'torch', frame.order));
    }
    let folded = keep(weightNorm(fullV, fullG, { axes }));
    if (frame?.order && frame.layout === 'mlx') folded = keep(convertWeight(folded, 'torch', 'mlx', frame.order));
    return adopt(folded, like);
  } finally {
    for (const tensor of used) tensor.dispose();
  }
}
