import { fail } from './errors.js';
import type { Module } from './nn/module.js';
import { isTensor, visitTensors } from './nn/walk.js';
import type { Tensor } from './tensor.js';

/** What was made in each scope, each tensor once. */
const stack: (Tensor[] | null)[] = [];
const modules = new Set<WeakRef<Module>>();
const collected = new FinalizationRegistry<WeakRef<Module>>((reference) => modules.delete(reference));

/** @internal Called for every new tensor. */
export function register(tensor: Tensor): void {
  stack[stack.length - 1]?.push(tensor);
}

/** @internal Called for every new module: its fields are parameters, which no scope disposes. */
export function registerModule(module: Module): void {
  const reference = new WeakRef(module);
  modules.add(reference);
  collected.register(module, reference);
}

/** @internal Modules of this environment that are still alive. */
export function* liveModules(): Generator<Module> {
  for (const reference of modules) {
    const module = reference.deref();
    if (module) yield module;
  }
}

/** @internal Runs `fn` outside every scope: what it makes is never disposed by one. */
export function untracked<T>(fn: () => T): T {
  stack.push(null);
  try {
    return fn();
  } finally {
    stack.pop();
  }
}

/** Calls `keep` for every tensor reachable from `value` through arrays, plain objects, Maps, Sets and modules. */
function reach(value: unknown, keep: (tensor: Tensor) => void, seen = new Set<object>()): void {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || seen.has(value)) return;
  seen.add(value);
  if (isTensor(value)) {
    keep(value);
  } else if (value instanceof Map) {
    for (const [key, item] of value) {
      reach(key, keep, seen);
      reach(item, keep, seen);
    }
  } else if (value instanceof Set || Array.isArray(value)) {
    for (const item of value) reach(item, keep, seen);
  } else {
    for (const item of Object.values(value)) reach(item, keep, seen);
  }
}

/**
 * Runs `fn` and disposes every tensor made inside that it does not return; arrays, objects, Maps, Sets and modules in
 * the result are searched. Parameters of modules and cached scales are never disposed. When `fn` throws, everything made
 * inside is disposed. Throws ERR_ARGUMENT when `fn` returns a promise: what an async function makes later cannot be tracked.
 */
export function scope<T>(fn: () => T): T {
  if (typeof fn !== 'function') fail('ERR_ARGUMENT', 'scope takes a function');
  const list: Tensor[] = [];
  stack.push(list);
  let result: T;
  let returned = false;
  try {
    result = fn();
    returned = true;
  } finally {
    stack.pop();
    if (!returned) release(new Set(list));
  }
  const made = new Set(list);
  if (typeof (result as { then?: unknown } | null)?.then === 'function') {
    release(made);
    // The promise's own outcome no longer matters to anyone.
    (result as Promise<unknown>).then(undefined, () => {});
    fail('ERR_ARGUMENT', 'scope: fn returned a promise; tensors made after an await cannot be tracked, so await outside of scope');
  }
  const outer = stack[stack.length - 1];
  reach(result, (tensor) => {
    if (made.delete(tensor)) outer?.push(tensor);
  });
  release(made);
  return result;
}

/** @internal {@link scope} around code that makes one tensor and no parameters: nothing need be searched. */
export function temporaries(fn: () => Tensor): Tensor {
  const made: Tensor[] = [];
  stack.push(made);
  let result: Tensor | undefined;
  try {
    result = fn();
    return result;
  } finally {
    stack.pop();
    const outer = stack[stack.length - 1];
    for (const tensor of made) {
      if (tensor === result) outer?.push(tensor);
      else tensor.dispose();
    }
  }
}

function release(made: Set<Tensor>): void {
  if (made.size === 0) return;
  const keep = (tensor: Tensor): unknown => made.delete(tensor);
  for (const module of liveModules()) visitTensors(module, keep);
  for (const tensor of made) tensor.dispose();
}
