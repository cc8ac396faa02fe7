import { liveModules } from '../scope.js';
import type { Tensor } from '../tensor.js';
import type { Module } from './module.js';
import { modulesOf, tensorPlaces, visitTensors } from './walk.js';

/** @internal Puts new tensors in the places of old ones everywhere in a tree, and disposes the old. */
export function replaceTensors(root: Module, replacements: ReadonlyMap<Tensor, Tensor>): void {
  if (replacements.size === 0) return;
  for (const place of tensorPlaces(root)) {
    const replacement = replacements.get(place.value);
    if (replacement) place.set(replacement);
  }
  for (const module of modulesOf(root).keys()) module.dropCaches();
  retire(replacements.keys());
}

/** @internal Disposes tensors that were parameters, except those that some module still holds. */
export function retire(tensors: Iterable<Tensor>): void {
  const retired = new Set(tensors);
  const keep = (tensor: Tensor): unknown => retired.delete(tensor);
  for (const module of liveModules()) visitTensors(module, keep);
  for (const tensor of retired) tensor.dispose();
}
