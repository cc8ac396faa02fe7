import { describe, fail } from '../errors.js';
import { untracked } from '../scope.js';
import { nativeOf, type Tensor } from '../tensor.js';
import { adopt, foldedFrom, type Plan, planNormed, planPlain, type State } from './checkpoint-plan.js';
import { checkLayout, convertGain, convertWeight, type Layout } from './layout.js';
import type { Module } from './module.js';
import { type NormedWeight, normsOf, type WeightFrame } from './normed-weight.js';
import { replaceTensors } from './parameters.js';
import { held, isTensor, join, modulesOf } from './walk.js';
import { gainOf } from './weight-norm.js';

/** How a state dict spells normed weights: as weight_g and weight_v, as torch's parametrizations, or folded into weight. */
export type Naming = 'weight_g' | 'parametrizations' | 'folded';

export interface StateDictOptions {
  /** Default 'weight_g'. */
  naming?: Naming;
  /** Layout of convolution weights in the result. Default 'torch'. */
  layout?: Layout;
}

export interface LoadOptions {
  /** Whether missing and unexpected names throw. Default true. */
  strict?: boolean;
  /** Layout of convolution weights in the state. Default 'torch'. */
  layout?: Layout;
}

export interface LoadResult {
  /** Parameters that the state does not hold; they keep their values. */
  missing: string[];
  /** Names of the state that no parameter takes. */
  unexpected: string[];
}

/** @internal */
export function stateDictOf(root: Module, options: StateDictOptions): Map<string, Tensor> {
  const naming = options.naming ?? 'weight_g';
  if (naming !== 'weight_g' && naming !== 'parametrizations' && naming !== 'folded') {
    fail('ERR_ARGUMENT', `naming is ${describe(naming)}; it must be 'weight_g', 'parametrizations' or 'folded'`);
  }
  const layout = checkLayout(options.layout);
  const state = new Map<string, Tensor>();
  for (const [module, paths] of modulesOf(root)) {
    const entries: [string, Tensor][] = [];
    const norms = [...normsOf(module).values()];
    for (const { name, value } of held(module)) {
      if (!isTensor(value)) continue;
      const norm = norms.find((candidate) => name === `${candidate.name}_g` || name === `${candidate.name}_v`);
      if (!norm) entries.push([name, laidOut(value, module.weightFrame(name), layout)]);
      else if (name.endsWith('_g')) entries.push(...normedEntries(norm, naming, layout));
    }
    for (const path of paths) for (const [name, value] of entries) state.set(join(path, name), value);
  }
  return state;
}

function normedEntries(norm: NormedWeight, naming: Naming, layout: Layout): [string, Tensor][] {
  const { name, frame, g, v } = norm;
  if (naming === 'folded') {
    if (!frame?.order || layout === frame.layout) return [[name, norm.foldOwn()]];
    const folded = norm.fold();
    if (layout === 'torch') return [[name, folded]];
    const converted = convertWeight(folded, 'torch', layout, frame.order);
    folded.dispose();
    return [[name, converted]];
  }
  const gain = frame?.order && layout !== frame.layout ? convertGain(g, frame.layout, layout, frame.order) : g;
  const [gName, vName] = naming === 'weight_g' ? [`${name}_g`, `${name}_v`] : [`parametrizations.${name}.original0`, `parametrizations.${name}.original1`];
  return [
    [gName, gain],
    [vName, laidOut(v, frame, layout)],
  ];
}

function laidOut(weight: Tensor, frame: WeightFrame | null, layout: Layout): Tensor {
  return frame?.order && layout !== frame.layout ? convertWeight(weight, frame.layout, layout, frame.order) : weight;
}

/** @internal */
export function load(root: Module, given: ReadonlyMap<string, Tensor>, options: LoadOptions): LoadResult {
  const state = checkState(given);
  const strict = options.strict ?? true;
  if (typeof strict !== 'boolean') fail('ERR_ARGUMENT', `strict is ${describe(strict)}; it must be true or false`);
  const layout = checkLayout(options.layout);
  const plan: Plan = { state, layout, used: new Set(), missing: [], misshapen: [], steps: [], planned: new Set() };
  for (const [module, paths] of modulesOf(root)) {
    const norms = [...normsOf(module).values()];
    for (const { name, value } of held(module)) {
      if (!isTensor(value)) continue;
      const norm = norms.find((candidate) => name === `${candidate.name}_g` || name === `${candidate.name}_v`);
      if (!norm) planPlain(plan, module, name, value, paths);
      else if (name.endsWith('_g')) planNormed(plan, norm, paths);
    }
  }
  // A shared tensor that one of its names provides is not missing under the others.
  const missing = plan.missing.filter(({ tensor }) => !plan.planned.has(tensor)).map(({ name }) => name);
  const unexpected = [...state.keys()].filter((key) => !plan.used.has(key));
  if (plan.misshapen.length > 0 || (strict && missing.length + unexpected.length > 0)) {
    const lists = [list('missing', missing), list('unexpected', unexpected), list('of the wrong shape', plan.misshapen)];
    fail('ERR_KEYS', `loadStateDict changed nothing: ${lists.filter(Boolean).join('; ')}`);
  }
  replaceTensors(root, carryOut(plan));
  return { missing, unexpected };
}

function checkState(given: unknown): State {
  if (Object.prototype.toString.call(given) !== '[object Map]') {
    fail('ERR_ARGUMENT', `state is ${describe(given)}; it must be a Map of names to Tensors`);
  }
  const state = given as State;
  for (const [key, tensor] of state) {
    if (typeof key !== 'string') fail('ERR_ARGUMENT', `state has a key ${describe(key)}; keys must be strings`);
    nativeOf(tensor, `state entry ${JSON.stringify(key)}`);
  }
  return state;
}

const shown = 20;

function list(what: string, names: readonly string[]): string {
  if (names.length === 0) return '';
  const more = names.length > shown ? ` and ${names.length - shown} more` : '';
  return `${what} (${names.length}): ${names.slice(0, shown).join(', ')}${more}`;
}

/** Makes the new parameters, all or none. */
function carryOut(plan: Plan): Map<Tensor, Tensor> {
  const made = new Map<Tensor, Tensor>();
  const scratch: Tensor[] = [];
  const put = (old: Tensor, value: Tensor): void => {
    if (made.has(old)) value.dispose();
    else made.set(old, value);
  };
  untracked(() => {
    try {
      for (const step of plan.steps) {
        const { frame } = step;
        const ordered = (tensor: Tensor, gain: boolean): Tensor => {
          if (!frame?.order || frame.layout === plan.layout) return tensor;
          const convert = gain ? convertGain : convertWeight;
          const copy = convert(tensor, plan.layout, frame.layout, frame.order);
          scratch.push(copy);
          return copy;
        };
        if (step.kind === 'copy') {
          put(step.old, adopt(ordered(step.source, step.gain), step.old));
        } else if (step.kind === 'fold') {
          put(step.old, foldedFrom(step.g, step.v, step.axes, step.old, frame, plan.layout));
        } else {
          const v = adopt(ordered(step.source, false), step.v);
          put(step.v, v);
          const g = gainOf(v, frame, step.axes);
          scratch.push(g);
          put(step.g, adopt(g, step.g));
        }
      }
    } catch (error) {
      for (const tensor of made.values()) tensor.dispose();
      throw error;
    } finally {
      for (const tensor of scratch) tensor.dispose();
    }
  });
  return made;
}
