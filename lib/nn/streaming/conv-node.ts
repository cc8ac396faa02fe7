import { fail } from '../../errors.js';
import type { Tensor } from '../../tensor.js';
import type { ConvLayer, ConvLayerFusion } from '../conv-layer.js';
import { type Advance, idle, type Position, type StreamNode } from './node.js';

/** @internal Sizes of a convolution along time. */
export interface TimeGeometry {
  transposed: boolean;
  kernel: number;
  stride: number;
  dilation: number;
  /** Padding, or what a transposed convolution cuts off. */
  left: number;
  right: number;
  outputPadding: number;
}

/** @internal What is fused into a convolution beside other signals; asked for at every push, because parameters may be replaced. */
export type Fusion = () => Omit<ConvLayerFusion, 'residual' | 'running' | 'window'>;

interface Rate {
  up: number;
  down: number;
}

/** @internal Inputs: x, then the residual and the running sum where there are any. */
export abstract class AnyConvNode implements StreamNode {
  readonly name: string;
  abstract readonly start: readonly number[];
  abstract readonly own: number;
  abstract readonly up: number;
  abstract readonly down: number;

  constructor(
    readonly layer: ConvLayer,
    protected readonly geometry: TimeGeometry,
    readonly inputs: readonly number[],
    readonly fusion: Fusion,
    readonly hasResidual: boolean,
  ) {
    this.name = layer.constructor.name;
  }

  abstract advance(at: readonly Position[], own: number, ended: boolean): Advance;
  abstract need(output: number): readonly number[];

  /** Last index of the kernel's span. */
  protected get reach(): number {
    return this.geometry.dilation * (this.geometry.kernel - 1);
  }

  /** `count`, or fewer where the residual or the running sum is behind. */
  protected limited(count: number, others: readonly Position[], ended: boolean): number {
    const least = others.reduce((smallest, { ready }) => Math.min(smallest, ready), count);
    const longer = others.find(({ ready }) => ready !== count);
    if (ended && longer) fail('ERR_SHAPE', `${this.name}: what is added to it ends ${longer.ready > count ? 'after' : 'before'} its own output`);
    return Math.max(0, least);
  }

  run(reads: readonly (Tensor | null)[], { window }: Advance): Tensor {
    const { pre, post, outScale } = this.fusion();
    const [residual, running] = this.hasResidual ? [reads[1], reads[2]] : [undefined, reads[1]];
    return this.layer.fused(reads[0] as Tensor, { pre, post, outScale, residual: residual ?? undefined, running: running ?? undefined, window });
  }
}

/** @internal Output o reads inputs from o · stride − left on. Padding of more than the reach is added by a node before. */
export class ConvNode extends AnyConvNode {
  readonly start: readonly number[];
  readonly own = 0;
  readonly up: number;
  readonly down: number;

  constructor(layer: ConvLayer, geometry: TimeGeometry, inputs: readonly number[], rate: Rate, fusion: Fusion, hasResidual: boolean) {
    super(layer, geometry, inputs, fusion, hasResidual);
    this.start = inputs.map((_, i) => (i === 0 ? -geometry.left : 0));
    this.up = rate.up;
    this.down = rate.down * geometry.stride;
  }

  advance([x, ...others]: readonly [Position, ...Position[]], own: number, ended: boolean): Advance {
    const { stride, right } = this.geometry;
    const after = ended ? right : 0;
    // Nothing but left padding: the stream has not begun.
    const possible = x.ready <= x.before ? 0 : Math.max(0, Math.floor((x.ready + after - this.reach - 1) / stride) + 1);
    const count = this.limited(possible, others, ended);
    if (count === 0) return idle(this.inputs.length, own);
    // A last piece too short for another output does no harm, and what is read whole needs no copy.
    const length = count === possible ? x.ready + after : (count - 1) * stride + this.reach + 1;
    const end = Math.max(0, length - x.ready);
    return {
      count,
      reads: [[x.before, length - x.before - end], ...others.map(() => [0, count] as const)],
      take: [count * stride, ...others.map(() => count)],
      own,
      detail: [],
      window: { begin: x.before, end, extra: 0 },
    };
  }

  need(output: number): readonly number[] {
    const { stride, left } = this.geometry;
    return this.inputs.map((_, i) => (i === 0 ? output * stride + this.reach - left : output));
  }
}

/**
 * @internal Input i adds to positions i · stride to i · stride + reach, of which the first `left` are cut off. The own number is the
 * position of the next output, counted from the cursor's first one.
 */
export class ConvTransposeNode extends AnyConvNode {
  readonly start: readonly number[];
  readonly own: number;
  readonly up: number;
  readonly down: number;

  constructor(layer: ConvLayer, geometry: TimeGeometry, inputs: readonly number[], rate: Rate, fusion: Fusion, hasResidual: boolean) {
    super(layer, geometry, inputs, fusion, hasResidual);
    const cursor = this.cursorFor(geometry.left);
    this.start = inputs.map((_, i) => (i === 0 ? cursor : 0));
    this.own = geometry.left - cursor * geometry.stride;
    this.up = rate.up * geometry.stride;
    this.down = rate.down;
  }

  /** First input of the window for a position; kept back so far that one is left for what outputPadding adds. */
  private cursorFor(position: number): number {
    const { stride, outputPadding } = this.geometry;
    return Math.max(0, Math.min(Math.ceil((position - this.reach - outputPadding) / stride), Math.floor(position / stride)));
  }

  advance([x, ...others]: readonly [Position, ...Position[]], own: number, ended: boolean): Advance {
    const { stride, right, outputPadding } = this.geometry;
    // How long the output is if no more follows: what would be cut off then is not determined.
    const whole = (x.ready - 1) * stride + this.reach + 1 + outputPadding - right - own;
    const possible = x.ready <= 0 ? 0 : Math.max(0, ended ? whole : Math.min(whole, x.ready * stride - own));
    const count = this.limited(possible, others, ended);
    if (count === 0) return idle(this.inputs.length, own);
    const length = Math.min(x.ready, Math.floor((own + count - 1) / stride) + 1);
    const beyond = (length - 1) * stride + this.reach + 1 - (own + count);
    const moved = this.cursorFor(own + count);
    return {
      count,
      reads: [[0, length], ...others.map(() => [0, count] as const)],
      take: [moved, ...others.map(() => count)],
      own: own + count - moved * stride,
      detail: [],
      window: { begin: own, end: Math.max(0, beyond), extra: Math.max(0, -beyond) },
    };
  }

  need(output: number): readonly number[] {
    const { stride, left, right, outputPadding } = this.geometry;
    const determined = Math.floor((output + left) / stride);
    const certain = Math.ceil((output + left + right - this.reach - outputPadding) / stride);
    return this.inputs.map((_, i) => (i === 0 ? Math.max(determined, certain) : output));
  }
}
