import { type Device, deviceOf } from '../device.js';
import { type DType, dtypeCode } from '../dtype.js';
import { fail } from '../errors.js';
import { registerModule, untracked } from '../scope.js';
import type { Tensor } from '../tensor.js';
import { type LoadOptions, type LoadResult, load, type StateDictOptions, stateDictOf } from './checkpoint.js';
import { type NormedWeight, normsOf, type WeightFrame } from './normed-weight.js';
import { replaceTensors } from './parameters.js';
import { StreamPlan } from './streaming/plan.js';
import type { Signal } from './streaming/signal.js';
import { ModuleStream, type Stream } from './streaming/stream.js';
import { held, isTensor, join, moduleBrand, modulesOf, tensorPlaces } from './walk.js';

/**
 * Base of all layers and models. A subclass assigns Tensors, Modules, arrays of them (nested too) and Maps of them to
 * fields, and overrides {@link forward}; parameters and children are found by walking its own properties. Their names are
 * the fields' names and indices joined with '.', as in torch: `ups.0.weight_g`. A `#private` field is not searched: what
 * is no parameter (a streaming state, a cache) belongs there. {@link scope} never disposes a module's parameters.
 *
 * ```ts
 * class Residual extends nn.Module {
 *   convs = [1, 3, 5].map((dilation) => new nn.WeightNormConv1d(32, 32, 3, { dilation, padding: dilation }));
 *   override forward(x: Tensor): Tensor {
 *     return this.convs.reduce((y, conv) => functional.add(conv.forward(functional.leakyRelu(y, 0.1)), y), x);
 *   }
 * }
 * ```
 */
export class Module {
  /** @internal */
  declare readonly [moduleBrand]: true;

  constructor() {
    registerModule(this);
  }

  /** Computes the module's output. Subclasses override it. */
  forward(_x: Tensor): Tensor {
    return fail('ERR_STATE', `${this.constructor.name} has no forward; a subclass of Module must define it`);
  }

  /**
   * Describes {@link forward} to a stream: what it computes from what, without values. The library's layers, activations and
   * models do; a module of your own that overrides forward overrides this too.
   *
   * ```ts
   * override streamed(x: nn.Signal): nn.Signal {
   *   return this.convs.reduce((y, conv) => y.map((t) => functional.leakyRelu(t, 0.1)).through(conv).add(y), x);
   * }
   * ```
   */
  streamed(_x: Signal): Signal {
    return fail('ERR_STATE', `${this.constructor.name} cannot stream: its class must define streamed beside forward`);
  }

  /** Opens a stream: {@link forward} fed piece by piece. Throws ERR_STATE for a module that needs its whole input. */
  stream<S extends Stream = ModuleStream>(): S {
    return new ModuleStream(new StreamPlan(this)) as Stream as S;
  }

  /** The parameters of the tree by name, a shared one under its first name. The tensors are the module's own, not copies. */
  namedParameters(): Map<string, Tensor> {
    const parameters = new Map<string, Tensor>();
    const seen = new Set<Tensor>();
    for (const [module, [path]] of modulesOf(this)) {
      for (const { name, value } of held(module)) {
        if (!isTensor(value) || seen.has(value)) continue;
        seen.add(value);
        parameters.set(join(path as string, name), value);
      }
    }
    return parameters;
  }

  /** The modules of the tree by name, this one as '', a shared one under its first name. */
  namedModules(): Map<string, Module> {
    return new Map([...modulesOf(this)].map(([module, paths]) => [paths[0] as string, module]));
  }

  /**
   * The parameters of the tree by name, a shared one under all its names, in torch's layout unless `layout` says
   * otherwise. `naming` spells normed weights: 'weight_g' (default; weight_g, weight_v), 'parametrizations'
   * (parametrizations.weight.original0, original1) or 'folded' (weight, rounded to its dtype). Tensors that need no
   * conversion are the module's own; folded and converted ones are new and the caller's ({@link scope} tells them apart).
   */
  stateDict(options: StateDictOptions = {}): Map<string, Tensor> {
    return stateDictOf(this, options);
  }

  /**
   * Sets the parameters from copies of the tensors of `state`, converted to each parameter's dtype and device. A normed
   * weight is taken from weight_g and weight_v, from parametrizations.weight.original0 and original1, or from a plain
   * weight (v = weight, g = its norm); a plain weight from any of these too, folded; spellings may be mixed. `layout` is
   * that of the tensors in `state` (default 'torch'), whatever that of the layers. Shared parameters stay shared. The
   * tensors that were the parameters are disposed.
   *
   * Throws ERR_KEYS, and changes nothing, when a tensor has the wrong shape or, with `strict` (default true), when names
   * are missing or unexpected; returns those otherwise.
   */
  loadStateDict(state: ReadonlyMap<string, Tensor>, options: LoadOptions = {}): LoadResult {
    return load(this, state, options);
  }

  /**
   * Moves the parameters of the tree to a device or converts them to a dtype, in place: they are replaced and the old
   * tensors disposed. When it throws, nothing has changed.
   */
  to(target: Device | DType): this {
    if (typeof target === 'string') dtypeCode(target, 'to: target');
    else deviceOf(target, 'to: target');
    const moved = new Map<Tensor, Tensor>();
    untracked(() => {
      try {
        for (const { value } of tensorPlaces(this)) {
          if (moved.has(value) || value.dtype === target || value.device === target) continue;
          moved.set(value, value.to(target));
        }
      } catch (error) {
        for (const made of moved.values()) made.dispose();
        throw error;
      }
    });
    replaceTensors(this, moved);
    return this;
  }

  /** Frees the parameters of the tree and what was cached of them. Disposing again does nothing. */
  dispose(): void {
    for (const { value } of tensorPlaces(this)) value.dispose();
    for (const module of modulesOf(this).keys()) module.dropCaches();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** @internal Frees what was computed from the module's own parameters. */
  dropCaches(): void {
    for (const norm of normsOf(this).values()) norm.dropCaches();
  }

  /** @internal How the weight of that name is laid out and used; null when nothing is known of it. */
  weightFrame(_name: string): WeightFrame | null {
    return null;
  }

  /** @internal The weight of that name is normed from now on, or (null) plain. */
  normChanged(_name: string, _norm: NormedWeight | null): void {}

  /** @internal Other shapes under which checkpoints hold the parameter of that name, with as many elements. */
  checkpointShapes(_name: string): readonly (readonly number[])[] {
    return [];
  }
}

Object.defineProperty(Module.prototype, moduleBrand, { value: true });
