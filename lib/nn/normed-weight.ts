import { checkEps, type NormAxes, reduceMask, type WeightNormOptions } from '../axes.js';
import { describe, fail } from '../errors.js';
import { weightNorm } from '../functional.js';
import { untracked } from '../scope.js';
import { nativeOf, type Tensor } from '../tensor.js';
import { Derived } from './derived.js';
import { convertedGainShape, convertedShape, convertGain, convertWeight, type Layout, type WeightOrder } from './layout.js';
import type { Module } from './module.js';

/** @internal What a layer knows about its weight. */
export interface WeightFrame {
  layout: Layout;
  /** Null where both layouts agree, as for Linear. */
  order: WeightOrder | null;
  /** How a norm scale that keeps these axes (torch's order, sizes above 1 only) can be applied without materialising the weight. */
  scaling(kept: readonly number[]): 'output' | 'input' | null;
}

const norms = new WeakMap<Module, Map<string, NormedWeight>>();

/** @internal The normed weights of a module, by the name of the weight. */
export function normsOf(module: Module): ReadonlyMap<string, NormedWeight> {
  return norms.get(module) ?? none;
}
const none: ReadonlyMap<string, NormedWeight> = new Map();

/**
 * @internal A weight of a module that is given by weight_g and weight_v. The module holds both as ordinary fields; the
 * weight itself becomes an accessor that computes (and caches) w.
 */
export class NormedWeight {
  readonly scale = new Derived();
  readonly #ordered = new Derived();
  readonly #folded = new Derived();
  readonly #own = new Derived();
  readonly #options: WeightNormOptions;
  // Read for every layer whenever scales are stale.
  readonly #gKey: string;
  readonly #vKey: string;
  #scaled: Tensor | null = null;
  #scaling: 'output' | 'input' | null = null;
  readonly eps: number | undefined;

  constructor(
    readonly owner: Module,
    readonly name: string,
    readonly frame: WeightFrame | null,
    options: WeightNormOptions,
  ) {
    this.eps = checkEps(options.eps);
    this.#gKey = `${name}_g`;
    this.#vKey = `${name}_v`;
    this.#options = {
      ...(options.dim === undefined ? {} : { dim: options.dim }),
      ...(options.axes === undefined ? {} : { axes: [...options.axes] }),
      ...(this.eps === undefined ? {} : { eps: this.eps }),
    };
  }

  /** Replaces the owner's weight by an accessor and the fields of g and v, which the owner keeps. */
  attach(g: Tensor, v: Tensor): void {
    const { owner, name } = this;
    delete this.#fields[name];
    Object.defineProperty(owner, name, {
      configurable: true,
      enumerable: false,
      get: () => this.weight(),
      set: (value: unknown) => {
        fail(
          'ERR_STATE',
          `${name} cannot be set to ${describe(value)}: it is computed from ${name}_g and ${name}_v; set those, or call removeWeightNorm first`,
        );
      },
    });
    this.#fields[`${name}_g`] = g;
    this.#fields[`${name}_v`] = v;
    const own = norms.get(owner) ?? new Map<string, NormedWeight>();
    norms.set(owner, own.set(name, this));
    owner.normChanged(name, this);
  }

  /** Makes `weight` an ordinary field of the owner again. Returns g and v, which nobody holds any more. */
  detach(weight: Tensor): Tensor[] {
    const { g, v, name } = this;
    norms.get(this.owner)?.delete(name);
    this.owner.normChanged(name, null);
    delete this.#fields[`${name}_g`];
    delete this.#fields[`${name}_v`];
    delete this.#fields[name];
    this.#fields[name] = weight;
    this.dropCaches();
    return [g, v];
  }

  get #fields(): Record<string, unknown> {
    return this.owner as unknown as Record<string, unknown>;
  }

  get g(): Tensor {
    return this.#fields[this.#gKey] as Tensor;
  }

  get v(): Tensor {
    return this.#fields[this.#vKey] as Tensor;
  }

  /** Which axes are normalised, in torch's order. */
  get axes(): NormAxes {
    const { dim, axes } = this.#options;
    return { ...(dim === undefined ? {} : { dim }), ...(axes === undefined ? {} : { axes }) };
  }

  /** The same as a mask. */
  get reduce(): number {
    return reduceMask(this.v.shape.length, this.#options);
  }

  /** Whether g is one number for the whole weight: [], or 1 in every axis. */
  get wholeTensor(): boolean {
    return this.reduce === (1 << this.v.shape.length) - 1;
  }

  /** Sizes of v in torch's order. Throws when v is no weight of its layer. */
  torchShape(): readonly number[] {
    const { frame, v } = this;
    if (!frame?.order || frame.layout === 'torch') return v.shape;
    const shape = convertedShape(v.shape, frame.layout, 'torch', frame.order);
    if (!shape) fail('ERR_SHAPE', `${this.name}_v has shape [${v.shape.join(', ')}]; it must have rank ${frame.order.spatial + 2} and whole groups`);
    return shape;
  }

  /** How a scale that keeps what the norm of the present v keeps is applied; null where w must be materialised. */
  scalingOf(v = this.v): 'output' | 'input' | null {
    const { frame } = this;
    if (!frame) return null;
    nativeOf(v, this.#vKey);
    // A tensor keeps its shape, and this is asked at every forward.
    if (v !== this.#scaled) {
      const { reduce } = this;
      const kept: number[] = [];
      this.torchShape().forEach((size, axis) => {
        if (size > 1 && !((reduce >> axis) & 1)) kept.push(axis);
      });
      this.#scaling = frame.scaling(kept);
      this.#scaled = v;
    }
    return this.#scaling;
  }

  /** The shape that g must have beside the present v, in the layer's layout. */
  gainShape(): number[] {
    const { reduce, frame } = this;
    const shape = this.torchShape().map((size, axis) => ((reduce >> axis) & 1 ? 1 : size));
    return frame?.order ? convertedGainShape(shape, 'torch', frame.layout, frame.order) : shape;
  }

  /** Throws what is wrong with g and v, naming them; afterwards they can be used together. */
  check(): void {
    const { g, v, name } = this;
    nativeOf(g, this.#gKey);
    nativeOf(v, this.#vKey);
    if (g.device !== v.device) fail('ERR_DEVICE', `${name}_g is on ${g.device.info.type} but ${name}_v is on ${v.device.info.type}: move one with to(device)`);
    if (g.dtype !== v.dtype && g.dtype !== 'float32') {
      fail('ERR_DTYPE', `${name}_g is ${g.dtype}; beside a ${v.dtype} ${name}_v it must be ${v.dtype} or float32`);
    }
    const expected = this.gainShape();
    const fits = g.shape.length === expected.length && g.shape.every((size, axis) => size === expected[axis]);
    if (!fits && !(g.shape.length === 0 && this.wholeTensor)) {
      fail('ERR_SHAPE', `${name}_g has shape [${g.shape.join(', ')}]; for ${name}_v of shape [${v.shape.join(', ')}] it must be [${expected.join(', ')}]`);
    }
  }

  /** v in torch's order: v itself, or a cached copy. */
  orderedV(v = this.v): Tensor {
    const { frame } = this;
    if (!frame?.order || frame.layout === 'torch') return v;
    const { layout, order } = frame;
    return (
      this.#ordered.current(v) ??
      this.#ordered.set(
        untracked(() => convertWeight(v, layout, 'torch', order)),
        v,
      )
    );
  }

  /** g in torch's order: g itself, or a new copy that the caller disposes. */
  orderedG(): Tensor {
    const { frame, g } = this;
    return !frame?.order || frame.layout === 'torch' ? g : convertGain(g, frame.layout, 'torch', frame.order);
  }

  /** A new tensor w = g · v / ‖v‖ in torch's order and v's dtype, the caller's. */
  fold(): Tensor {
    this.check();
    const v = this.orderedV();
    const g = this.orderedG();
    try {
      return weightNorm(v, g, this.#options);
    } finally {
      if (g !== this.g) g.dispose();
    }
  }

  /** {@link fold}, in the layer's layout. */
  foldOwn(): Tensor {
    const { frame } = this;
    const folded = this.fold();
    if (!frame?.order || frame.layout === 'torch') return folded;
    try {
      return convertWeight(folded, 'torch', frame.layout, frame.order);
    } finally {
      folded.dispose();
    }
  }

  /** w in torch's order, cached. */
  folded(): Tensor {
    const { g, v } = this;
    return (
      this.#folded.current(g, v) ??
      this.#folded.set(
        untracked(() => this.fold()),
        g,
        v,
      )
    );
  }

  /** w in the layer's layout, cached. */
  weight(): Tensor {
    if (!this.frame?.order || this.frame.layout === 'torch') return this.folded();
    const { g, v } = this;
    return (
      this.#own.current(g, v) ??
      this.#own.set(
        untracked(() => this.foldOwn()),
        g,
        v,
      )
    );
  }

  dropCaches(): void {
    this.scale.dispose();
    this.#ordered.dispose();
    this.#folded.dispose();
    this.#own.dispose();
  }
}
