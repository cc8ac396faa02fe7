import { integer } from '../axes.js';
import { Device, deviceOf } from '../device.js';
import { type DType, dtypeCode } from '../dtype.js';
import { describe, fail } from '../errors.js';
import { type ActivationSpec, activate } from '../fused.js';
import { untracked } from '../scope.js';
import { nativeOf, type Tensor } from '../tensor.js';
import { channelsFirst, channelsLast, checkLayout, type Layout } from './layout.js';
import { Module } from './module.js';
import type { Signal } from './streaming/signal.js';

/** Base of the elementwise activations, which a neighbouring layer in a {@link Sequential} takes into its own operation. */
export abstract class Activation extends Module {
  /** @internal What a layer fuses. */
  abstract spec(): ActivationSpec;

  override forward(x: Tensor): Tensor {
    return activate(x, this.spec());
  }

  override streamed(x: Signal): Signal {
    if (this.forward !== Activation.prototype.forward && this.forward !== Snake.prototype.forward) return super.streamed(x);
    return x.map((piece) => this.forward(piece), this.constructor.name);
  }
}

function finite(value: unknown, argument: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) fail('ERR_ARGUMENT', `${argument} is ${describe(value)}; it must be a finite number`);
  return value;
}

/** x where x ≥ 0, else slope · x. */
export class LeakyReLU extends Activation {
  readonly slope: number;

  constructor(slope = 0.01) {
    super();
    this.slope = finite(slope, 'slope');
  }

  /** @internal */
  override spec(): ActivationSpec {
    return { kind: 'leakyRelu', param: this.slope };
  }
}

/** max(x, 0). */
export class ReLU extends Activation {
  /** @internal */
  override spec(): ActivationSpec {
    return { kind: 'relu' };
  }
}

/** x where x > 0, else alpha · (eˣ − 1). */
export class ELU extends Activation {
  readonly alpha: number;

  constructor(alpha = 1) {
    super();
    this.alpha = finite(alpha, 'alpha');
  }

  /** @internal */
  override spec(): ActivationSpec {
    return { kind: 'elu', param: this.alpha };
  }
}

/** x · Φ(x), exact (erf). */
export class GELU extends Activation {
  /** @internal */
  override spec(): ActivationSpec {
    return { kind: 'gelu' };
  }
}

/** x · sigmoid(x). */
export class SiLU extends Activation {
  /** @internal */
  override spec(): ActivationSpec {
    return { kind: 'silu' };
  }
}

/** 1 / (1 + e⁻ˣ). */
export class Sigmoid extends Activation {
  /** @internal */
  override spec(): ActivationSpec {
    return { kind: 'sigmoid' };
  }
}

/** Hyperbolic tangent. */
export class Tanh extends Activation {
  /** @internal */
  override spec(): ActivationSpec {
    return { kind: 'tanh' };
  }
}

export interface SnakeOptions {
  /** α = exp(alpha): the parameter starts at 0 instead of 1. Default false. */
  logScale?: boolean;
  /** Where the channels of the data are; see {@link Layout}. Default 'torch'. */
  layout?: Layout;
  /** Default {@link Device.default}. */
  device?: Device;
  /** Default 'float32'. */
  dtype?: DType;
}

/**
 * x + sin²(αx)/(α + 1e-9) (Ziyin et al. 2020) with a learnt α per channel: parameter `alpha` [1, channels, 1], starting at
 * α = 1. Checkpoints may hold it as [channels] too. x [N, channels, …], or [N, …, channels] in layout 'mlx'.
 */
export class Snake extends Activation {
  alpha: Tensor;
  readonly logScale: boolean;
  readonly layout: Layout;

  constructor(channels: number, options: SnakeOptions = {}) {
    super();
    integer(channels, 'channels', 1);
    const { logScale = false, device = Device.default(), dtype = 'float32' } = options;
    if (typeof logScale !== 'boolean') fail('ERR_ARGUMENT', `logScale is ${describe(logScale)}; it must be true or false`);
    deviceOf(device, 'device');
    dtypeCode(dtype, 'dtype');
    this.logScale = logScale;
    this.layout = checkLayout(options.layout);
    this.alpha = untracked(() => device.full([1, channels, 1], logScale ? 0 : 1, dtype));
  }

  /** @internal */
  override spec(): ActivationSpec {
    nativeOf(this.alpha, 'alpha');
    return { kind: 'snake', alpha: this.alpha, logScale: this.logScale };
  }

  override forward(x: Tensor): Tensor {
    if (this.layout === 'torch') return super.forward(x);
    nativeOf(x, 'x');
    const rank = x.shape.length;
    if (rank < 3) fail('ERR_SHAPE', `Snake: x has shape [${x.shape.join(', ')}]; in layout 'mlx' it must be [N, …, C], of rank 3 or more`);
    const first = x.transpose(channelsFirst(rank));
    const activated = activate(first, this.spec());
    const y = activated.transpose(channelsLast(rank));
    first.dispose();
    activated.dispose();
    return y;
  }

  /** @internal */
  override checkpointShapes(name: string): readonly (readonly number[])[] {
    if (name !== 'alpha') return [];
    const channels = this.alpha.size;
    return [[channels], [1, channels, 1], [1, 1, channels]];
  }
}
