import { integer } from '../axes.js';
import { isDirect } from '../conv-options.js';
import { activate, linearFused } from '../fused.js';
import { nativeOf, type Tensor } from '../tensor.js';
import { Layer, type LayerFusion, type LayerOptions } from './layer.js';
import type { Layout } from './layout.js';
import { checkLayout } from './layout.js';
import { normsOf, type WeightFrame } from './normed-weight.js';
import { weightParts } from './scale-cache.js';
import type { Signal } from './streaming/signal.js';

export interface LinearOptions extends LayerOptions {
  /** Accepted for symmetry with the convolutions: weight and data are ordered alike in both layouts. */
  layout?: Layout;
  /**
   * 'direct': the order of operations of an output depends on the layer only, not on how many rows x has, so that a stream gives the bits
   * of forward. A few rows take longer. Default 'auto'.
   */
  algorithm?: 'auto' | 'direct';
}

const frame: WeightFrame = {
  layout: 'torch',
  order: null,
  scaling: (kept) => (kept.every((axis) => axis === 0) ? 'output' : null),
};

/** y = x · weightᵀ + bias: x [..., inFeatures], weight [outFeatures, inFeatures], bias [outFeatures], y [..., outFeatures]. */
export class Linear extends Layer {
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly #direct: boolean;

  constructor(inFeatures: number, outFeatures: number, options: LinearOptions = {}) {
    super();
    this.inFeatures = integer(inFeatures, 'inFeatures', 1);
    this.outFeatures = integer(outFeatures, 'outFeatures', 1);
    checkLayout(options.layout);
    this.#direct = isDirect(options.algorithm);
    this.initialize([outFeatures, inFeatures], outFeatures, inFeatures, options);
  }

  /** @internal */
  override weightFrame(name: string): WeightFrame | null {
    return name === 'weight' ? frame : null;
  }

  /** Of data [N, L, C]. */
  override streamed(x: Signal): Signal {
    if (this.forward !== Layer.prototype.forward) return super.streamed(x);
    return x.mapChannelsLast((piece) => this.fused(piece, {}), this.constructor.name);
  }

  /** @internal */
  override fused(x: Tensor, { pre, post }: LayerFusion): Tensor {
    nativeOf(x, 'x');
    const norm = normsOf(this).get('weight');
    const { weight, scale } = norm ? weightParts(norm) : { weight: this.weight, scale: undefined };
    nativeOf(weight, 'weight');
    const fusion = { scale, post, direct: this.#direct };
    if (!pre) return linearFused(x, weight, this.bias, fusion);
    const activated = activate(x, pre);
    try {
      return linearFused(activated, weight, this.bias, fusion);
    } finally {
      activated.dispose();
    }
  }
}
