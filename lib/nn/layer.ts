import { Device, deviceOf } from '../device.js';
import { type DType, dtypeCode } from '../dtype.js';
import { describe, fail } from '../errors.js';
import type { ActivationSpec } from '../fused.js';
import { untracked } from '../scope.js';
import type { Tensor } from '../tensor.js';
import { Module } from './module.js';
import { uniformStream } from './random.js';

/** Options of every layer with a weight. */
export interface LayerOptions {
  /** Whether there is a bias. Default true. */
  bias?: boolean;
  /** Default {@link Device.default}. */
  device?: Device;
  /** Default 'float32'. */
  dtype?: DType;
  /** Seed of the initial weights, an integer from 0 to 2^53 − 1: the same for a seed on every device. Without one they differ each time. */
  seed?: number;
  /** 'uniform' (default): from −1/√fan_in to 1/√fan_in, as in torch. 'zeros': for a layer whose weights are loaded next. */
  init?: 'uniform' | 'zeros';
}

/** @internal What a layer applies around its own operation. */
export interface LayerFusion {
  /** Activation of the input. */
  pre?: ActivationSpec | undefined;
  /** Activation of the output. */
  post?: ActivationSpec | undefined;
}

/** Base of Linear and the convolutions: a weight and a bias. */
export abstract class Layer extends Module {
  /** The weight. Of a weight-normed layer: w, computed from weight_g and weight_v when they changed. */
  declare weight: Tensor;
  /** Null without bias. */
  declare bias: Tensor | null;

  /** @internal Makes weight and bias. `shape` is torch's, `fanIn` the number of inputs of an output element. */
  protected initialize(shape: readonly number[], outputs: number, fanIn: number, options: LayerOptions): void {
    const { bias = true, device = Device.default(), dtype = 'float32', init = 'uniform' } = options;
    if (typeof bias !== 'boolean') fail('ERR_ARGUMENT', `bias is ${describe(bias)}; it must be true or false`);
    deviceOf(device, 'device');
    dtypeCode(dtype, 'dtype');
    if (init !== 'uniform' && init !== 'zeros') fail('ERR_ARGUMENT', `init is ${describe(init)}; it must be 'uniform' or 'zeros'`);
    const next = uniformStream(options.seed);
    const bound = 1 / Math.sqrt(fanIn);
    const make = (sizes: readonly number[]): Tensor => {
      if (init === 'zeros') return device.zeros(sizes, dtype);
      const count = sizes.reduce((product, size) => product * size, 1);
      return device.tensor(next(count, bound), { shape: sizes, dtype });
    };
    untracked(() => {
      this.weight = make(shape);
      this.bias = bias ? make([outputs]) : null;
    });
  }

  /** @internal {@link forward} with activations fused where the layer can. */
  abstract fused(x: Tensor, fusion: LayerFusion): Tensor;

  override forward(x: Tensor): Tensor {
    return this.fused(x, {});
  }
}
