import { Module } from '../nn/module.js';
import { WeightNormConv1d } from '../nn/weight-norm-layers.js';
import type { Tensor } from '../tensor.js';
import type { HifiGanOptions } from './hifigan.js';

/** What a stage adds up over its residual blocks. */
export interface Accumulation {
  /** Sum of the blocks before. */
  running?: Tensor | undefined;
  /** Factor on the result: 1/n on the last of n blocks makes their mean. */
  outScale?: number;
}

/** Leaky ReLU in front of every convolution but the last. */
export const leaky = { kind: 'leakyRelu', param: 0.1 } as const;

/** A convolution of `channels` to `channels` that keeps the length. */
function conv(channels: number, kernel: number, dilation: number, options: HifiGanOptions): WeightNormConv1d {
  return new WeightNormConv1d(channels, channels, kernel, { ...options, dilation, padding: ((kernel - 1) * dilation) / 2 });
}

/** A residual block of a HiFi-GAN stage; x [N, C, L] to [N, C, L]. */
export abstract class ResBlock extends Module {
  override forward(x: Tensor): Tensor {
    return this.accumulate(x, {});
  }

  /** outScale · (block(x) + running), with everything fused into the convolutions. */
  accumulate(x: Tensor, accumulation: Accumulation): Tensor {
    const steps = this.steps();
    let current = x;
    steps.forEach((step, i) => {
      const next = step(current, i === steps.length - 1 ? accumulation : {});
      if (current !== x) current.dispose();
      current = next;
    });
    return current;
  }

  /** Number of convolutions. */
  abstract readonly depth: number;

  protected abstract steps(): ((x: Tensor, accumulation: Accumulation) => Tensor)[];
}

/** HiFi-GAN's residual block 1: for each dilation d, x += conv₁(leaky(conv_d(leaky(x)))). */
export class ResBlock1 extends ResBlock {
  readonly convs1: WeightNormConv1d[];
  readonly convs2: WeightNormConv1d[];

  constructor(channels: number, kernel: number, dilations: readonly number[], options: HifiGanOptions) {
    super();
    this.convs1 = dilations.map((dilation) => conv(channels, kernel, dilation, options));
    this.convs2 = dilations.map(() => conv(channels, kernel, 1, options));
  }

  override get depth(): number {
    return 2 * this.convs1.length;
  }

  protected override steps(): ((x: Tensor, accumulation: Accumulation) => Tensor)[] {
    return this.convs1.map((first, i) => (x, accumulation) => {
      const inner = first.fused(x, { pre: leaky });
      const y = (this.convs2[i] as WeightNormConv1d).fused(inner, { pre: leaky, residual: x, ...accumulation });
      inner.dispose();
      return y;
    });
  }
}

/** HiFi-GAN's residual block 2: for each dilation d, x += conv_d(leaky(x)). */
export class ResBlock2 extends ResBlock {
  readonly convs: WeightNormConv1d[];

  constructor(channels: number, kernel: number, dilations: readonly number[], options: HifiGanOptions) {
    super();
    this.convs = dilations.map((dilation) => conv(channels, kernel, dilation, options));
  }

  override get depth(): number {
    return this.convs.length;
  }

  protected override steps(): ((x: Tensor, accumulation: Accumulation) => Tensor)[] {
    return this.convs.map((layer) => (x, accumulation) => layer.fused(x, { pre: leaky, residual: x, ...accumulation }));
  }
}
