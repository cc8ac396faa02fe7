import type { Tensor } from '../tensor.js';
import type { Module } from './module.js';

/** @internal Marks the prototype of Module, so that modules are recognised without importing the class. */
export const moduleBrand: unique symbol = Symbol.for('weightnorm.module');

/** @internal */
export function isTensor(value: unknown): value is Tensor {
  return typeof value === 'object' && value !== null && 'byteLength' in value && 'readRaw' in value && 'dispose' in value;
}

/** @internal */
export function isModule(value: unknown): value is Module {
  return typeof value === 'object' && value !== null && moduleBrand in value;
}

/** @internal A tensor or module that a module holds: in a field, or in arrays and Maps of a field. */
export interface Held<T> {
  /** Field name and indices, joined with '.'. */
  name: string;
  value: T;
  set(value: T): void;
}

/** @internal The tensors and modules that a module holds itself, in the order of its fields. */
export function* held(module: Module): Generator<Held<Tensor | Module>> {
  const record = module as unknown as Record<string, unknown>;
  const seen = new Set<unknown>();
  for (const name of Object.keys(record)) yield* search(name, record[name], setter(record, name), seen);
}

function* search(name: string, value: unknown, set: (value: unknown) => void, seen: Set<unknown>): Generator<Held<Tensor | Module>> {
  if (typeof value !== 'object' || value === null) return;
  if (isTensor(value) || isModule(value)) {
    yield { name, value, set };
  } else if (Array.isArray(value)) {
    if (holdsPlainValues(value[0]) || seen.has(value)) return;
    seen.add(value);
    for (let i = 0; i < value.length; i++) yield* search(`${name}.${i}`, value[i], setter(value, i), seen);
  } else if (isMap(value)) {
    if (seen.has(value)) return;
    seen.add(value);
    for (const [key, item] of value) {
      if (holdsPlainValues(item)) return;
      yield* search(`${name}.${String(key)}`, item, (changed) => void value.set(key, changed), seen);
    }
  }
}

function setter<K extends string | number>(target: Record<K, unknown>, key: K): (value: unknown) => void {
  return (value) => {
    target[key] = value;
  };
}

/** @internal Calls `visit` for every tensor that a module holds itself: what {@link held} finds, without its names and cheaply, for every module at every end of a scope. */
export function visitTensors(module: Module, visit: (tensor: Tensor) => void): void {
  const record = module as unknown as Record<string, unknown>;
  for (const name of Object.keys(record)) visitIn(record[name], visit, null);
}

function visitIn(value: unknown, visit: (tensor: Tensor) => void, above: readonly unknown[] | null): void {
  if (typeof value !== 'object' || value === null) return;
  if (isTensor(value)) {
    visit(value);
  } else if (Array.isArray(value) || (!isModule(value) && isMap(value))) {
    if (above?.includes(value)) return;
    const line = above ? [...above, value] : [value];
    for (const item of value.values()) {
      if (holdsPlainValues(item)) return;
      visitIn(item, visit, line);
    }
  }
}

/** Long arrays and Maps of numbers or strings hold no parameters and need not be searched. */
function holdsPlainValues(first: unknown): boolean {
  return typeof first === 'number' || typeof first === 'string' || typeof first === 'boolean';
}

function isMap(value: object): value is Map<unknown, unknown> {
  return Object.prototype.toString.call(value) === '[object Map]';
}

/** @internal Every path to every module of a tree, the root's being ''. A module on its own path is not entered again. */
export function* modulePaths(root: Module, path = '', above: readonly Module[] = []): Generator<[string, Module]> {
  yield [path, root];
  const line = [...above, root];
  for (const { name, value } of held(root)) {
    if (isModule(value) && !line.includes(value)) yield* modulePaths(value, path === '' ? name : `${path}.${name}`, line);
  }
}

/** @internal The modules of a tree, each once, with all its paths. */
export function modulesOf(root: Module): Map<Module, string[]> {
  const modules = new Map<Module, string[]>();
  for (const [path, module] of modulePaths(root)) {
    const paths = modules.get(module);
    if (paths) paths.push(path);
    else modules.set(module, [path]);
  }
  return modules;
}

/** @internal The places of a tree that hold tensors. */
export function tensorPlaces(root: Module): Held<Tensor>[] {
  const places: Held<Tensor>[] = [];
  for (const module of modulesOf(root).keys()) {
    for (const place of held(module)) if (isTensor(place.value)) places.push(place as Held<Tensor>);
  }
  return places;
}

/** @internal 'a' and 'b' as 'a.b'; an empty path adds nothing. */
export function join(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}
