import { requireRank } from '../axes.js';
import { type AnyConvOptions, convGeometry } from '../conv-options.js';
import type { ConvGeometry } from '../native.js';
import type { Tensor } from '../tensor.js';
import type { WeightOrder } from './layout.js';
import type { NormedWeight } from './normed-weight.js';

/** @internal Padding along time, or what a transposed convolution cuts off and adds. It keeps the numbers made of it: a stream uses one again and again. */
export interface ConvWindow {
  readonly begin: number;
  readonly end: number;
  readonly extra: number;
  /** The layer's geometry that the numbers are made of, and they. */
  base?: ConvGeometry;
  geometry?: ConvGeometry;
}

/**
 * @internal What every forward of a convolution layer reads. Apart from the layer, which weight norm turns into a hash table:
 * its own fields take several times as long to read.
 */
export class ConvState {
  /** Of the weight, where it is normed. */
  norm: NormedWeight | null = null;
  /** For the kernel of the latest weight. */
  geometry: ConvGeometry;
  #kernel: readonly number[];
  /** Shape of the latest weight. */
  #shape: readonly number[] | null = null;

  /** `layer` names it in messages. */
  constructor(
    readonly layer: string,
    readonly order: WeightOrder,
    readonly options: AnyConvOptions,
    kernel: readonly number[],
    /** Whether data and weight are in torch's order. */
    readonly torch: boolean,
  ) {
    this.geometry = convGeometry(kernel, options, order.transposed);
    this.#kernel = kernel;
  }

  /** Padding 'same' depends on the kernel, which is that of the present weight (torch's order). */
  geometryOf(weight: Tensor): ConvGeometry {
    // Shapes are frozen.
    if (weight.shape === this.#shape) return this.geometry;
    const kernel = weight.shape.slice(2);
    if (kernel.length !== this.#kernel.length || kernel.some((size, i) => size !== this.#kernel[i])) {
      requireRank(this.layer, 'weight', weight.shape, this.order.spatial + 2);
      this.geometry = convGeometry(kernel, this.options, this.order.transposed);
      this.#kernel = kernel;
    }
    this.#shape = weight.shape;
    return this.geometry;
  }
}

/** @internal A geometry with what takes the place of its padding along time. */
export function windowed(base: ConvGeometry, window: ConvWindow): ConvGeometry {
  if (window.base !== base || !window.geometry) {
    window.base = base;
    window.geometry = base.slice();
    [window.geometry[5], window.geometry[7], window.geometry[9]] = [window.begin, window.end, window.extra];
  }
  return window.geometry;
}
