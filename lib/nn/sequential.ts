import { describe, fail } from '../errors.js';
import { nativeOf, type Tensor } from '../tensor.js';
import { Activation, Snake } from './activations.js';
import { ConvLayer } from './conv-layer.js';
import { Layer, type LayerFusion } from './layer.js';
import { Module } from './module.js';
import type { Signal } from './streaming/signal.js';
import { isModule } from './walk.js';

/**
 * Modules applied one after another, named '0', '1', …. An activation beside a convolution or Linear runs inside its
 * operation, where that means the same.
 */
export class Sequential extends Module {
  readonly #length: number;

  constructor(...modules: Module[]) {
    super();
    modules.forEach((module, i) => {
      if (!isModule(module)) fail('ERR_ARGUMENT', `modules[${i}] is ${describe(module)}; it must be a Module`);
      this.#slots[i] = module;
    });
    this.#length = modules.length;
  }

  get #slots(): Record<number, Module> {
    return this as unknown as Record<number, Module>;
  }

  /** Number of modules. */
  get length(): number {
    return this.#length;
  }

  /** The module at an index; negative counts from the end. Throws ERR_ARGUMENT outside. */
  at(index: number): Module {
    const module = this.#slots[index < 0 ? index + this.#length : index];
    if (!Number.isInteger(index) || !module) {
      fail('ERR_ARGUMENT', `index is ${describe(index)}; it must be an integer from ${-this.#length} to ${this.#length - 1}`);
    }
    return module;
  }

  *[Symbol.iterator](): Generator<Module> {
    for (let i = 0; i < this.#length; i++) yield this.#slots[i] as Module;
  }

  override forward(x: Tensor): Tensor {
    nativeOf(x, 'x');
    const modules = [...this];
    let y = x;
    let ours = false;
    for (let i = 0; i < modules.length; ) {
      const step = fuse(modules, i);
      const next = step.layer ? step.layer.fused(y, step.fusion()) : step.module.forward(y);
      // Between two layers of the library nobody else can hold the result.
      if (ours && step.known && y !== next) y.dispose();
      y = next;
      ours = step.known;
      i += step.length;
    }
    return y;
  }

  override streamed(x: Signal): Signal {
    if (this.forward !== Sequential.prototype.forward) return super.streamed(x);
    const modules = [...this];
    let y = x;
    for (let i = 0; i < modules.length; ) {
      const step = fuse(modules, i);
      const { layer, module, fusion } = step;
      if (layer instanceof ConvLayer) y = y.conv(layer, fusion);
      else if (layer) y = y.mapChannelsLast((piece) => layer.fused(piece, fusion()), layer.constructor.name);
      else y = y.through(module);
      i += step.length;
    }
    return y;
  }
}

/** A layer with the activations that run inside it, or one module by itself. */
interface Step {
  layer: Layer | null;
  module: Module;
  fusion: () => LayerFusion;
  /** How many modules it covers. */
  length: number;
  /** Whether only the library's own forwards run, which return a new tensor and keep none. */
  known: boolean;
}

function fuse(modules: readonly Module[], start: number): Step {
  const first = modules[start] as Module;
  const second = modules[start + 1];
  if (isActivation(first)) {
    if (!second || !isConv(second) || !agree(first, second)) return single(first, true);
    // Between two layers the activation is the first one's, so here it leads.
    const third = modules[start + 2];
    if (third && isActivation(third) && agree(third, second)) return fused(second, () => ({ pre: first.spec(), post: third.spec() }), 3);
    return fused(second, () => ({ pre: first.spec() }), 2);
  }
  if (!isLayer(first)) return single(first, false);
  if (second && isActivation(second) && agree(second, first)) return fused(first, () => ({ post: second.spec() }), 2);
  return single(first, true);
}

function fused(layer: Layer, fusion: () => LayerFusion, length: number): Step {
  return { layer, module: layer, fusion, length, known: true };
}

function single(module: Module, known: boolean): Step {
  return { layer: null, module, fusion: () => ({}), length: 1, known };
}

// A subclass that overrides forward means something else: it is never bypassed.
function isActivation(module: Module): module is Activation {
  return module instanceof Activation && (module.forward === Activation.prototype.forward || module.forward === Snake.prototype.forward);
}

function isLayer(module: Module): module is Layer {
  return module instanceof Layer && module.forward === Layer.prototype.forward;
}

function isConv(module: Module): module is ConvLayer {
  return module instanceof ConvLayer && isLayer(module);
}

/** Snake depends on where the channels are; other activations do not. */
function agree(activation: Activation, layer: Layer): boolean {
  if (!(activation instanceof Snake)) return true;
  return layer instanceof ConvLayer && layer.layout === activation.layout;
}
