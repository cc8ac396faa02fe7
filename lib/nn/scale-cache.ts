import { scales, type WeightParts } from '../fused.js';
import { addon } from '../native.js';
import { liveModules, untracked } from '../scope.js';
import { nativeOf, type Tensor } from '../tensor.js';
import { type NormedWeight, normsOf } from './normed-weight.js';

/**
 * @internal The parts of a normed weight: v and the cached scale g/‖v‖ where the layer can apply it, else the cached w.
 * Throws what is wrong with g and v.
 */
export function weightParts(norm: NormedWeight): WeightParts {
  // Read once: looking fields of a layer up is much of what this takes.
  const { g, v } = norm;
  const how = norm.scalingOf(v);
  if (!how) return { weight: norm.folded() };
  const scale = norm.scale.current(g, v) ?? refresh(norm);
  return { weight: norm.orderedV(v), scale, scalePerInput: how === 'input' };
}

/**
 * Computes stale scales: on a GPU those of every stale layer of the device in one operation. The CPU computes a layer's as it
 * packs the layer's weight, so looking for others would only make its first convolution wait.
 */
function refresh(norm: NormedWeight): Tensor {
  norm.check();
  const stale = [norm];
  // A failed parameter fails the operation it takes part in, so its layer computes alone.
  if (norm.v.device.info.type !== 'cpu' && !poisoned(norm)) for (const other of staleBeside(norm)) stale.push(other);
  const copies: Tensor[] = [];
  try {
    const made = untracked(() =>
      scales(
        stale.map((item) => {
          const g = item.orderedG();
          if (g !== item.g) copies.push(g);
          return { v: item.orderedV(), g, reduce: item.reduce, eps: item.eps };
        }),
      ),
    );
    stale.forEach((item, i) => void item.scale.set(made[i] as Tensor, item.g, item.v));
    return made[0] as Tensor;
  } finally {
    for (const copy of copies) copy.dispose();
  }
}

function* staleBeside(norm: NormedWeight): Generator<NormedWeight> {
  const { device } = norm.v;
  for (const module of liveModules()) {
    for (const other of normsOf(module).values()) {
      if (other === norm || !usable(other) || other.v.device !== device) continue;
      if (other.scalingOf() && !other.scale.current(other.g, other.v)) yield other;
    }
  }
}

/** Whether another layer's parameters can take part: what is wrong with them is for its own forward to say. */
function usable(norm: NormedWeight): boolean {
  if (norm.g?.disposed || norm.v?.disposed) return false;
  try {
    norm.check();
    return !poisoned(norm);
  } catch {
    return false;
  }
}

function poisoned(norm: NormedWeight): boolean {
  return addon.failed(nativeOf(norm.v, `${norm.name}_v`)) || addon.failed(nativeOf(norm.g, `${norm.name}_g`));
}
