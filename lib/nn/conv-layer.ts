import { integer } from '../axes.js';
import { type AnyConvOptions, type ConvOptions, type ConvTransposeOptions, type Extent, extents, type PaddingMode } from '../conv-options.js';
import { describe, fail } from '../errors.js';
import { convFused, type WeightParts } from '../fused.js';
import type { ConvGeometry } from '../native.js';
import { untracked } from '../scope.js';
import { nativeOf, type Tensor } from '../tensor.js';
import { ConvState, type ConvWindow, windowed } from './conv-state.js';
import { Derived } from './derived.js';
import { Layer, type LayerFusion, type LayerOptions } from './layer.js';
import { channelsFirst, channelsLast, checkLayout, convertWeight, type Layout, type WeightOrder } from './layout.js';
import type { NormedWeight, WeightFrame } from './normed-weight.js';
import { weightParts } from './scale-cache.js';
import type { TimeGeometry } from './streaming/conv-node.js';
import type { Signal } from './streaming/signal.js';

export interface ConvLayerOptions extends LayerOptions, ConvOptions {
  /** Order of data and weight; see {@link Layout}. Default 'torch'. */
  layout?: Layout;
}

export interface ConvTransposeLayerOptions extends LayerOptions, ConvTransposeOptions {
  /** Order of data and weight; see {@link Layout}. Default 'torch'. */
  layout?: Layout;
}

/** @internal */
export type AnyConvLayerOptions = LayerOptions & AnyConvOptions & { layout?: Layout };

/** @internal What a convolution takes in beside its input: y = post(outScale · (conv(pre(x)) + residual + running)). */
export interface ConvLayerFusion extends LayerFusion {
  /** Added to the result; has its shape. */
  residual?: Tensor | undefined;
  /** A sum over several layers so far; has the result's shape. */
  running?: Tensor | undefined;
  /** Factor of the sum. Default 1. */
  outScale?: number | undefined;
  /** What takes the place of the layer's own padding along time. */
  window?: ConvWindow | undefined;
}

/** @internal What tells the four convolutions apart. */
export interface ConvKind {
  spatial: 1 | 2;
  transposed: boolean;
}

/** Base of the convolution layers. */
export abstract class ConvLayer extends Layer {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly kernelSize: readonly number[];
  readonly groups: number;
  readonly layout: Layout;
  readonly #state: ConvState;
  readonly #frame: WeightFrame;
  readonly #ordered = new Derived();

  /** @internal */
  constructor(kind: ConvKind, inChannels: number, outChannels: number, kernelSize: Extent, options: AnyConvLayerOptions) {
    super();
    const { spatial, transposed } = kind;
    this.inChannels = integer(inChannels, 'inChannels', 1);
    this.outChannels = integer(outChannels, 'outChannels', 1);
    if (kernelSize === undefined) fail('ERR_ARGUMENT', 'kernelSize is undefined; it must be an integer of at least 1');
    this.kernelSize = extents(kernelSize, spatial, 'kernelSize', 1);
    this.groups = integer(options.groups ?? 1, 'groups', 1);
    this.layout = checkLayout(options.layout);
    for (const [argument, channels] of [
      ['inChannels', inChannels],
      ['outChannels', outChannels],
    ] as const) {
      if (channels % this.groups !== 0) fail('ERR_ARGUMENT', `groups is ${this.groups}; it must divide ${argument}, which is ${channels}`);
    }
    checkKind(transposed, options);
    const order = { spatial, transposed, groups: this.groups };
    this.#state = new ConvState(this.constructor.name, order, { ...options }, this.kernelSize, this.layout === 'torch');
    if (transposed) checkOutputPadding(this.#state.geometry, spatial);
    this.#frame = { layout: this.layout, order, scaling: (kept) => scaling(kept, order) };

    const shape = transposed ? [inChannels, outChannels / this.groups, ...this.kernelSize] : [outChannels, inChannels / this.groups, ...this.kernelSize];
    const fanIn = shape.slice(1).reduce((product, size) => product * size, 1);
    this.initialize(shape, outChannels, fanIn, options);
    if (this.layout === 'mlx') {
      const torch = this.weight;
      this.weight = untracked(() => convertWeight(torch, 'torch', 'mlx', order));
      torch.dispose();
    }
  }

  /** @internal */
  override weightFrame(name: string): WeightFrame | null {
    return name === 'weight' ? this.#frame : null;
  }

  /** @internal */
  override normChanged(name: string, norm: NormedWeight | null): void {
    if (name === 'weight') this.#state.norm = norm;
  }

  /** @internal */
  override dropCaches(): void {
    super.dropCaches();
    this.#ordered.dispose();
  }

  /** @internal {@link forward} with everything that the operation can take in; tensors are in the layer's layout. */
  override fused(x: Tensor, fusion: ConvLayerFusion): Tensor {
    nativeOf(x, 'x');
    const state = this.#state;
    const rank = state.order.spatial + 2;
    if (x.shape.length !== rank) {
      const axes = this.layout === 'torch' ? ['N', 'C', 'L', 'N', 'C', 'H, W'] : ['N', 'L', 'C', 'N', 'H, W', 'C'];
      fail('ERR_SHAPE', `${this.constructor.name}: x has shape [${x.shape.join(', ')}]; it must be [${axes.slice((rank - 3) * 3, (rank - 2) * 3).join(', ')}]`);
    }
    const parts = state.norm ? weightParts(state.norm) : this.#plain(state);
    if (state.torch) return convolve(state, parts, x, this.bias, fusion);
    const { residual, running, ...rest } = fusion;
    const copies: Tensor[] = [];
    const first = (tensor: Tensor): Tensor => {
      copies.push(tensor.transpose(channelsFirst(rank)));
      return copies[copies.length - 1] as Tensor;
    };
    try {
      const y = convolve(state, parts, first(x), this.bias, { ...rest, residual: residual && first(residual), running: running && first(running) });
      copies.push(y);
      return y.transpose(channelsLast(rank));
    } finally {
      for (const copy of copies) copy.dispose();
    }
  }

  /** @internal What a stream gives the operation beside its input. */
  operands(): WeightParts & { bias: Tensor | null; geometry: ConvGeometry } {
    const state = this.#state;
    const { weight, scale, scalePerInput } = state.norm ? weightParts(state.norm) : this.#plain(state);
    nativeOf(weight, 'weight');
    return { weight, scale, scalePerInput, bias: this.bias, geometry: state.geometryOf(weight) };
  }

  /** @internal Sizes along time. Throws ERR_STATE for two dimensions. */
  timeGeometry(): TimeGeometry & { mode: PaddingMode } {
    const { order, options } = this.#state;
    const { spatial, transposed } = order;
    if (spatial !== 1) fail('ERR_STATE', `${this.constructor.name} cannot stream: it has no one axis of time`);
    const { weight, geometry } = this.operands();
    const [, stride, , dilation, , left, , right, , outputPadding] = geometry as unknown as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    return { transposed, kernel: weight.shape[2] as number, stride, dilation, left, right, outputPadding, mode: options.paddingMode ?? 'zeros' };
  }

  override streamed(x: Signal): Signal {
    if (this.forward !== Layer.prototype.forward) return super.streamed(x);
    return x.conv(this);
  }

  /** Of a weight that is not normed. */
  #plain({ torch, order }: ConvState): WeightParts {
    const { weight } = this;
    if (torch) return { weight };
    nativeOf(weight, 'weight');
    const ordered =
      this.#ordered.current(weight) ??
      this.#ordered.set(
        untracked(() => convertWeight(weight, 'mlx', 'torch', order)),
        weight,
      );
    return { weight: ordered };
  }
}

/** In torch's order. */
function convolve(state: ConvState, parts: WeightParts, x: Tensor, bias: Tensor | null, fusion: ConvLayerFusion): Tensor {
  nativeOf(parts.weight, 'weight');
  const own = state.geometryOf(parts.weight);
  return convFused(x, parts, bias, fusion.window ? windowed(own, fusion.window) : own, fusion);
}

/** Kept axes, in torch's order, to where the scale goes: per output channel, or per input channel of a transposed convolution. */
function scaling(kept: readonly number[], { transposed, groups }: WeightOrder): 'output' | 'input' | null {
  if (kept.length === 0) return 'output';
  if (kept.length > 1) return null;
  if (kept[0] === 0) return transposed ? 'input' : 'output';
  return kept[0] === 1 && transposed && groups === 1 ? 'output' : null;
}

function checkKind(transposed: boolean, options: AnyConvLayerOptions): void {
  if (transposed && options.paddingMode !== undefined && options.paddingMode !== 'zeros') {
    fail('ERR_ARGUMENT', `paddingMode is ${describe(options.paddingMode)}; a transposed convolution takes only 'zeros'`);
  }
  if (!transposed && options.outputPadding !== undefined) {
    fail('ERR_ARGUMENT', `outputPadding is ${describe(options.outputPadding)}; it belongs to transposed convolutions`);
  }
}

function checkOutputPadding(geometry: ConvGeometry, spatial: number): void {
  for (let slot = 2 - spatial; slot < 2; slot++) {
    const [stride, dilation, extra] = [geometry[slot], geometry[2 + slot], geometry[8 + slot]] as [number, number, number];
    if (extra >= stride && extra >= dilation) {
      fail('ERR_ARGUMENT', `outputPadding is ${extra}; it must be smaller than the stride (${stride}) or the dilation (${dilation})`);
    }
  }
}
