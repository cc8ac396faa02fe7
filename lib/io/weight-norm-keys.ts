import { describe, fail } from '../errors.js';
import type { StoredTensor } from './stored.js';

/** How a checkpoint spells one weight-normalised weight. */
export type Spelling = 'weight_g/weight_v' | 'parametrizations';

/** A weight that a checkpoint stores as magnitude g and direction v. */
export interface NormedWeight<T extends StoredTensor = StoredTensor> {
  /** Name of the plain weight, for example 'resblocks.0.convs1.0.weight'. */
  name: string;
  spelling: Spelling;
  g: T;
  v: T;
}

/** Matches torch's old hook: NAME_g and NAME_v for a parameter called weight or weight_…, as in recurrent layers. */
const hook = /^((?:.*\.)?weight\w*)_([gv])$/;
/** Matches torch's parametrizations: original0 is g, original1 is v. */
const parametrization = /^(.*\.|)parametrizations\.(\w+)\.original([01])$/;

/** What a tensor's name says of a weight-normalised weight; null for any other tensor. */
export function parseNormedKey(key: string): { name: string; spelling: Spelling; part: 'g' | 'v' } | null {
  const old = hook.exec(key);
  if (old) return { name: old[1] as string, spelling: 'weight_g/weight_v', part: old[2] as 'g' | 'v' };
  const modern = parametrization.exec(key);
  if (modern) return { name: `${modern[1]}${modern[2]}`, spelling: 'parametrizations', part: modern[3] === '0' ? 'g' : 'v' };
  return null;
}

/**
 * The weight-normalised weights among the tensors of a checkpoint, in the order of their v. Throws ERR_FORMAT, naming file and
 * tensor, where g or v has no partner, one weight is spelled twice, or g's shape fits no norm of v.
 */
export function findNormedWeights<T extends StoredTensor>(tensors: readonly T[], path: string): NormedWeight<T>[] {
  const keys = new Set(tensors.map(({ name }) => name));
  const found = new Map<string, { spelling: Spelling; g?: T; v?: T }>();
  for (const tensor of tensors) {
    const key = parseNormedKey(tensor.name);
    if (!key) continue;
    const { name, spelling, part } = key;
    const weight = found.get(name) ?? { spelling };
    if (weight.spelling !== spelling || keys.has(name))
      fail('ERR_FORMAT', `${path}: weight ${describe(name)} is stored in more than one spelling, one of them ${describe(tensor.name)}`);
    weight[part] = tensor;
    found.set(name, weight);
  }
  const weights: NormedWeight<T>[] = [];
  for (const [name, { spelling, g, v }] of found) {
    if (!g || !v) fail('ERR_FORMAT', `${path}: tensor ${describe((g ?? v)?.name)} has no partner: weight ${describe(name)} needs both g and v`);
    normAxes(g, v, path);
    weights.push({ name, spelling, g, v });
  }
  return weights.sort((a, b) => a.v.offset - b.v.offset);
}

/**
 * Which axes the norm of v runs over, from g's shape: g is 1 along them and as long as v along the others (dim), or a scalar (dim null).
 * Where v is 1 as well, both readings give the same weight.
 */
export function normAxes(g: StoredTensor, v: StoredTensor, path: string): { dim: number | null } | { axes: number[] } {
  const kept: number[] = [];
  const normalised: number[] = [];
  const fits = g.shape.length === v.shape.length || g.shape.length === 0;
  v.shape.forEach((dim, axis) => ((g.shape[axis] ?? 1) === 1 ? normalised : g.shape[axis] === dim ? kept : []).push(axis));
  if (!fits || v.shape.length === 0 || kept.length + normalised.length !== v.shape.length || (kept.length > 1 && normalised.length === 0)) {
    fail(
      'ERR_FORMAT',
      `${path}: tensor ${describe(g.name)} has shape [${g.shape.join(', ')}]; for ${describe(v.name)} of shape [${v.shape.join(', ')}] it must be 1 along the normalised axes and equal along the others`,
    );
  }
  if (kept.length === 0) return { dim: null };
  return kept.length === 1 ? { dim: kept[0] as number } : { axes: normalised };
}
