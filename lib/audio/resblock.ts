import { Module } from '../nn/module.js';
import type { Signal } from '../nn/streaming/signal.js';
import { WeightNormConv1d } from '../nn/weight-norm-layers.js';
import { temporaries } from '../scope.js';
import type { Tensor } from '../tensor.js';
import type { HifiGanOptions } from './hifigan.js';
import { allOf, type Steps } from './steps.js';

/** What a stage adds up over its residual blocks. */
export interface Accumulation {
  /** Sum of the blocks before. */
  running?: Tensor | undefined;
  /** Factor on the result: 1/n on the last of n blocks makes their mean. */
  outScale?: number;
}

/** Leaky ReLU in front of every convolution but the last. */
export const leaky = { kind: 'leakyRelu', param: 0.1 } as const;

const activated = { pre: leaky };

const alone: Accumulation = {};

/** A convolution of `channels` to `channels` that keeps the length. */
function conv(channels: number, kernel: number, dilation: number, options: HifiGanOptions): WeightNormConv1d {
  return new WeightNormConv1d(channels, channels, kernel, { ...options, dilation, padding: ((kernel - 1) * dilation) / 2 });
}

/** A residual block of a HiFi-GAN stage; x [N, C, L] to [N, C, L]. */
export abstract class ResBlock extends Module {
  /** Convolutions of each residual, in order; the last one of each adds what the first was given. */
  protected abstract get residuals(): readonly (readonly WeightNormConv1d[])[];

  override forward(x: Tensor): Tensor {
    return allOf(this.steps(x, {}));
  }

  /** @internal outScale · (block(x) + running), with everything fused into the convolutions. The last of them is no step: its result is returned. */
  *steps(x: Tensor, accumulation: Accumulation): Steps {
    const { residuals } = this;
    const closing = residuals[residuals.length - 1];
    let current = x;
    let inner = x;
    const advance = (compute: () => Tensor): void => {
      const next = temporaries(compute);
      if (inner !== current) inner.dispose();
      inner = next;
    };
    try {
      for (const layers of residuals) {
        const last = layers.length - 1;
        for (let k = 0; k < last; k++) {
          advance(() => (layers[k] as WeightNormConv1d).fused(inner, activated));
          yield { result: inner, completes: null };
        }
        const { running, outScale } = layers === closing ? accumulation : alone;
        advance(() => (layers[last] as WeightNormConv1d).fused(inner, { pre: leaky, residual: current, running, outScale }));
        if (current !== x) current.dispose();
        current = inner;
        if (layers !== closing) yield { result: inner, completes: null };
      }
      const result = current;
      current = x;
      inner = x;
      return result;
    } finally {
      if (inner !== current) inner.dispose();
      if (current !== x) current.dispose();
    }
  }

  override streamed(x: Signal): Signal {
    return this.streamedSum(x, undefined, 1);
  }

  /** @internal {@link steps}, described to a stream. */
  streamedSum(x: Signal, running: Signal | undefined, outScale: number): Signal {
    const { residuals } = this;
    const closed = { ...activated, outScale };
    return residuals.reduce(
      (current, layers, i) =>
        layers.reduce((inner, layer, k) => {
          if (k < layers.length - 1) return inner.conv(layer, () => activated);
          const closing = i === residuals.length - 1;
          return inner.conv(layer, () => (closing ? closed : activated), { residual: current, running: closing ? running : undefined });
        }, current),
      x,
    );
  }
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

  protected override get residuals(): readonly (readonly WeightNormConv1d[])[] {
    return this.convs1.map((first, i) => [first, this.convs2[i] as WeightNormConv1d]);
  }
}

/** HiFi-GAN's residual block 2: for each dilation d, x += conv_d(leaky(x)). */
export class ResBlock2 extends ResBlock {
  readonly convs: WeightNormConv1d[];

  constructor(channels: number, kernel: number, dilations: readonly number[], options: HifiGanOptions) {
    super();
    this.convs = dilations.map((dilation) => conv(channels, kernel, dilation, options));
  }

  protected override get residuals(): readonly (readonly WeightNormConv1d[])[] {
    return this.convs.map((layer) => [layer]);
  }
}
