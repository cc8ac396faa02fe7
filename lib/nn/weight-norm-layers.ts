import type { WeightNormOptions } from '../axes.js';
import type { Extent } from '../conv-options.js';
import type { Tensor } from '../tensor.js';
import { Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d } from './conv.js';
import type { ConvLayerOptions, ConvTransposeLayerOptions } from './conv-layer.js';
import { Linear, type LinearOptions } from './linear.js';
import { weightNorm } from './weight-norm.js';

function axesOf({ dim, axes, eps }: WeightNormOptions): WeightNormOptions {
  return {
    ...(dim === undefined ? {} : { dim }),
    ...(axes === undefined ? {} : { axes }),
    ...(eps === undefined ? {} : { eps }),
  };
}

/** {@link Linear} with parameters weight_g [outFeatures, 1] (of dim 0), weight_v and bias. */
export class WeightNormLinear extends Linear {
  declare weight_g: Tensor;
  declare weight_v: Tensor;

  constructor(inFeatures: number, outFeatures: number, options: LinearOptions & WeightNormOptions = {}) {
    super(inFeatures, outFeatures, options);
    weightNorm(this, axesOf(options));
  }
}

/** {@link Conv1d} with parameters weight_g [outChannels, 1, 1] (of dim 0), weight_v and bias. */
export class WeightNormConv1d extends Conv1d {
  declare weight_g: Tensor;
  declare weight_v: Tensor;

  constructor(inChannels: number, outChannels: number, kernelSize: Extent, options: ConvLayerOptions & WeightNormOptions = {}) {
    super(inChannels, outChannels, kernelSize, options);
    weightNorm(this, axesOf(options));
  }
}

/** {@link Conv2d} with parameters weight_g [outChannels, 1, 1, 1] (of dim 0), weight_v and bias. */
export class WeightNormConv2d extends Conv2d {
  declare weight_g: Tensor;
  declare weight_v: Tensor;

  constructor(inChannels: number, outChannels: number, kernelSize: Extent, options: ConvLayerOptions & WeightNormOptions = {}) {
    super(inChannels, outChannels, kernelSize, options);
    weightNorm(this, axesOf(options));
  }
}

/** {@link ConvTranspose1d} with parameters weight_g [inChannels, 1, 1] (of dim 0, torch's default: the input channel), weight_v and bias. */
export class WeightNormConvTranspose1d extends ConvTranspose1d {
  declare weight_g: Tensor;
  declare weight_v: Tensor;

  constructor(inChannels: number, outChannels: number, kernelSize: Extent, options: ConvTransposeLayerOptions & WeightNormOptions = {}) {
    super(inChannels, outChannels, kernelSize, options);
    weightNorm(this, axesOf(options));
  }
}

/** {@link ConvTranspose2d} with parameters weight_g [inChannels, 1, 1, 1] (of dim 0, torch's default: the input channel), weight_v and bias. */
export class WeightNormConvTranspose2d extends ConvTranspose2d {
  declare weight_g: Tensor;
  declare weight_v: Tensor;

  constructor(inChannels: number, outChannels: number, kernelSize: Extent, options: ConvTransposeLayerOptions & WeightNormOptions = {}) {
    super(inChannels, outChannels, kernelSize, options);
    weightNorm(this, axesOf(options));
  }
}
