import type { Extent } from '../conv-options.js';
import { ConvLayer, type ConvLayerOptions, type ConvTransposeLayerOptions } from './conv-layer.js';

/** Cross-correlation of x [N, inChannels, L] with weight [outChannels, inChannels/groups, kernelSize], plus bias; y [N, outChannels, L']. */
export class Conv1d extends ConvLayer {
  constructor(inChannels: number, outChannels: number, kernelSize: Extent, options: ConvLayerOptions = {}) {
    super({ spatial: 1, transposed: false }, inChannels, outChannels, kernelSize, options);
  }
}

/** Cross-correlation of x [N, inChannels, H, W] with weight [outChannels, inChannels/groups, KH, KW], plus bias; y [N, outChannels, H', W']. */
export class Conv2d extends ConvLayer {
  constructor(inChannels: number, outChannels: number, kernelSize: Extent, options: ConvLayerOptions = {}) {
    super({ spatial: 2, transposed: false }, inChannels, outChannels, kernelSize, options);
  }
}

/**
 * Transposed convolution of x [N, inChannels, L] with weight [inChannels, outChannels/groups, kernelSize], plus bias;
 * y [N, outChannels, (L − 1)·stride − padding + dilation·(kernelSize − 1) + outputPadding + 1], padding counted on both sides.
 */
export class ConvTranspose1d extends ConvLayer {
  constructor(inChannels: number, outChannels: number, kernelSize: Extent, options: ConvTransposeLayerOptions = {}) {
    super({ spatial: 1, transposed: true }, inChannels, outChannels, kernelSize, options);
  }
}

/** Transposed convolution of x [N, inChannels, H, W] with weight [inChannels, outChannels/groups, KH, KW], plus bias; y [N, outChannels, H', W']. */
export class ConvTranspose2d extends ConvLayer {
  constructor(inChannels: number, outChannels: number, kernelSize: Extent, options: ConvTransposeLayerOptions = {}) {
    super({ spatial: 2, transposed: true }, inChannels, outChannels, kernelSize, options);
  }
}
