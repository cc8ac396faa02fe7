import { liveModules } from '../scope.js';
import type { Tensor } from '../tensor.js';
import type { Module } from './module.js';
import { held, modulesOf, tensorPlaces } from './walk.js';

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
  for (const module of liveModules()) {
    for (const { value } of held(module)) retired.delete(value as Tensor);
  }
  for (const tensor of retired) tensor.dispose();
}
