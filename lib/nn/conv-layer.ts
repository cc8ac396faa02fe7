import { integer } from '../axes.js';
import { type AnyConvOptions, type ConvOptions, type ConvTransposeOptions, convGeometry, type Extent, extents, type PaddingMode } from '../conv-options.js';
import { describe, fail } from '../errors.js';
import { convFused } from '../fused.js';
import type { ConvGeometry } from '../native.js';
import { untracked } from '../scope.js';
import { nativeOf, type Tensor } from '../tensor.js';
import { Derived } from './derived.js';
import { Layer, type LayerFusion, type LayerOptions } from './layer.js';
import { channelsFirst, channelsLast, checkLayout, convertWeight, type Layout, type WeightOrder } from './layout.js';
import { normsOf, type WeightFrame } from './normed-weight.js';
import { type WeightParts, weightParts } from './scale-cache.js';
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

/** @internal Padding along time, or what a transposed convolution cuts off and adds. It keeps the numbers made of it: a stream uses one again and again. */
export interface ConvWindow {
  readonly begin: number;
  readonly end: number;
  readonly extra: number;
  /** The layer's geometry that the numbers are made of, and they. */
  base?: ConvGeometry;
  geometry?: ConvGeometry;
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
  readonly #order: WeightOrder;
  readonly #frame: WeightFrame;
  readonly #options: AnyConvOptions;
  readonly #ordered = new Derived();
  #geometry: ConvGeometry;
  #geometryKernel: readonly number[];

  /** @internal */
  constructor(kind: ConvKind, inChannels: number, outChannels: number, kernelSize: Extent, options: AnyConvLayerOptions) {
    super();
    const { spatial, transposed } = kind;
    this.inChannels = integer(inChannels, 'inChannels', 1);
    this.outChannels = integer(outChannels, 'outChannels', 1);
    if (kernelSize === undefined) fail('ERR_ARGUMENT', 'kernelSize is undefined; it must be an integer of at least 1');
    this.kernelSize = extents(kernelSize, spatial, 'kernelSize', 1, 1);
    this.groups = integer(options.groups ?? 1, 'groups', 1);
    this.layout = checkLayout(options.layout);
    for (const [argument, channels] of [
      ['inChannels', inChannels],
      ['outChannels', outChannels],
    ] as const) {
      if (channels % this.groups !== 0) fail('ERR_ARGUMENT', `groups is ${this.groups}; it must divide ${argument}, which is ${channels}`);
    }
    checkKind(transposed, options);
    this.#options = { ...options };
    this.#geometry = convGeometry(this.kernelSize, options, transposed);
    this.#geometryKernel = this.kernelSize;
    if (transposed) checkOutputPadding(this.#geometry, spatial);
    this.#order = { spatial, transposed, groups: this.groups };
    this.#frame = { layout: this.layout, order: this.#order, scaling: (kept) => scaling(kept, this.#order) };

    const shape = transposed ? [inChannels, outChannels / this.groups, ...this.kernelSize] : [outChannels, inChannels / this.groups, ...this.kernelSize];
    const fanIn = shape.slice(1).reduce((product, size) => product * size, 1);
    this.initialize(shape, outChannels, fanIn, options);
    if (this.layout === 'mlx') {
      const torch = this.weight;
      this.weight = untracked(() => convertWeight(torch, 'torch', 'mlx', this.#order));
      torch.dispose();
    }
  }

  /** @internal */
  override weightFrame(name: string): WeightFrame | null {
    return name === 'weight' ? this.#frame : null;
  }

  /** @internal */
  override dropCaches(): void {
    super.dropCaches();
    this.#ordered.dispose();
  }

  /** @internal {@link forward} with everything that the operation can take in; tensors are in the layer's layout. */
  override fused(x: Tensor, fusion: ConvLayerFusion): Tensor {
    nativeOf(x, 'x');
    const rank = this.#order.spatial + 2;
    if (x.shape.length !== rank) {
      const axes = this.layout === 'torch' ? ['N', 'C', 'L', 'N', 'C', 'H, W'] : ['N', 'L', 'C', 'N', 'H, W', 'C'];
      fail('ERR_SHAPE', `${this.constructor.name}: x has shape [${x.shape.join(', ')}]; it must be [${axes.slice((rank - 3) * 3, (rank - 2) * 3).join(', ')}]`);
    }
    if (this.layout === 'torch') return this.#convolve(x, fusion);
    const { residual, running, ...rest } = fusion;
    const copies: Tensor[] = [];
    const first = (tensor: Tensor): Tensor => {
      copies.push(tensor.transpose(channelsFirst(rank)));
      return copies[copies.length - 1] as Tensor;
    };
    try {
      const y = this.#convolve(first(x), { ...rest, residual: residual && first(residual), running: running && first(running) });
      copies.push(y);
      return y.transpose(channelsLast(rank));
    } finally {
      for (const copy of copies) copy.dispose();
    }
  }

  #convolve(x: Tensor, { pre, post, residual, running, outScale, window }: ConvLayerFusion): Tensor {
    const { weight, scale, scalePerInput = false } = this.#parts();
    nativeOf(weight, 'weight');
    const own = this.#geometryOf(weight);
    // Fields one by one: this is called for every layer of every piece of a stream.
    return convFused(x, weight, this.bias, window ? windowed(own, window) : own, { pre, post, residual, running, outScale, scale, scalePerInput });
  }

  /** @internal What a stream gives the operation beside its input. */
  operands(): WeightParts & { bias: Tensor | null; geometry: ConvGeometry } {
    const { weight, scale, scalePerInput } = this.#parts();
    nativeOf(weight, 'weight');
    return { weight, scale, scalePerInput, bias: this.bias, geometry: this.#geometryOf(weight) };
  }

  /** @internal Sizes along time. Throws ERR_STATE for two dimensions. */
  timeGeometry(): TimeGeometry & { mode: PaddingMode } {
    const { spatial, transposed } = this.#order;
    if (spatial !== 1) fail('ERR_STATE', `${this.constructor.name} cannot stream: it has no one axis of time`);
    const { weight } = this.#parts();
    nativeOf(weight, 'weight');
    const geometry = this.#geometryOf(weight);
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
    return { transposed, kernel: weight.shape[2] as number, stride, dilation, left, right, outputPadding, mode: this.#options.paddingMode ?? 'zeros' };
  }

  override streamed(x: Signal): Signal {
    if (this.forward !== Layer.prototype.forward) return super.streamed(x);
    return x.conv(this);
  }

  #parts(): WeightParts {
    const norm = normsOf(this).get('weight');
    if (norm) return weightParts(norm);
    const { weight } = this;
    if (this.layout === 'torch') return { weight };
    nativeOf(weight, 'weight');
    const ordered =
      this.#ordered.current([weight]) ??
      this.#ordered.set(
        untracked(() => convertWeight(weight, 'mlx', 'torch', this.#order)),
        [weight],
      );
    return { weight: ordered };
  }

  /** Padding 'same' depends on the kernel, which is that of the present weight. */
  #geometryOf(weight: Tensor): ConvGeometry {
    const kernel = weight.shape.slice(2);
    if (kernel.length !== this.#geometryKernel.length || kernel.some((size, i) => size !== this.#geometryKernel[i])) {
      if (kernel.length !== this.#order.spatial) {
        fail('ERR_SHAPE', `${this.constructor.name}: weight has shape [${weight.shape.join(', ')}]; it must have rank ${this.#order.spatial + 2}`);
      }
      this.#geometry = convGeometry(kernel, this.#options, this.#order.transposed);
      this.#geometryKernel = kernel;
    }
    return this.#geometry;
  }
}

/** Kept axes, in torch's order, to where the scale goes: per output channel, or per input channel of a transposed convolution. */
function scaling(kept: readonly number[], { transposed, groups }: WeightOrder): 'output' | 'input' | null {
  if (kept.length === 0) return 'output';
  if (kept.length > 1) return null;
  if (kept[0] === 0) return transposed ? 'input' : 'output';
  return kept[0] === 1 && transposed && groups === 1 ? 'output' : null;
}

function windowed(base: ConvGeometry, window: ConvWindow): ConvGeometry {
  if (window.base !== base || !window.geometry) {
    window.base = base;
    window.geometry = base.slice();
    [window.geometry[5], window.geometry[7], window.geometry[9]] = [window.begin, window.end, window.extra];
  }
  return window.geometry;
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
