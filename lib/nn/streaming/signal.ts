import { fail } from '../../errors.js';
import type { Tensor } from '../../tensor.js';
import type { ConvLayer } from '../conv-layer.js';
import type { Module } from '../module.js';
import { ConvNode, ConvTransposeNode, type Fusion } from './conv-node.js';
import type { StreamNode } from './node.js';
import { addNode, LimitNode, mapNode, PadNode, SourceNode } from './nodes.js';

/** @internal A network as operations in the order in which they run; the first is what is pushed. */
export class StreamGraph {
  readonly nodes: StreamNode[] = [new SourceNode()];
  #axis: number | null = null;

  /** The axis of time: 2 ([N, C, L]), or 1 ([N, L, C]) where a layer has that layout. */
  get axis(): number {
    return this.#axis ?? 2;
  }

  /** Channels of what is pushed, where a layer says. */
  channels: number | null = null;

  add(node: StreamNode): Signal {
    return new Signal(this, this.nodes.push(node) - 1);
  }

  setAxis(axis: number, name: string): void {
    if (this.#axis !== null && this.#axis !== axis) fail('ERR_ARGUMENT', `${name}: its layout is not that of the layers before; a stream has one layout`);
    this.#axis = axis;
  }
}

/** @internal What is added to a convolution's output. */
export interface Added {
  residual?: Signal | undefined;
  running?: Signal | undefined;
}

/**
 * A signal inside a streamed network: what {@link Module.streamed} is given and returns. Signals are not values; they
 * say what is computed from what, so that a stream knows how far each is determined and what must be kept of it.
 */
export class Signal {
  /** @internal */
  readonly graph: StreamGraph;
  /** @internal Of the node whose output this is. */
  readonly index: number;

  /** @internal */
  constructor(graph: StreamGraph, index: number) {
    this.graph = graph;
    this.index = index;
  }

  /** The signal after a module. */
  through(module: Module): Signal {
    return module.streamed(this);
  }

  /** The sum of two signals of one rate, as far as both are determined: a residual connection. */
  add(other: Signal): Signal {
    return this.graph.add(addNode(this.#parent, this.#sibling(other).#parent));
  }

  /** A function that treats every step alike and by itself, such as an activation; it must return a new tensor of as many steps. */
  map(compute: (x: Tensor) => Tensor, name = 'map'): Signal {
    return this.graph.add(mapNode(name, this.#parent, compute));
  }

  /** The signal, cut off after `factor` steps for each step of `clock`. */
  limit(clock: Signal, factor: number): Signal {
    return this.graph.add(new LimitNode(this.#parent, this.#sibling(clock).#parent, factor));
  }

  /** @internal {@link map} of data [N, L, C]. */
  mapChannelsLast(compute: (x: Tensor) => Tensor, name: string): Signal {
    this.graph.setAxis(1, name);
    return this.map(compute, name);
  }

  /** @internal A convolution with what it fuses. */
  conv(layer: ConvLayer, fusion: Fusion = () => ({}), { residual, running }: Added = {}): Signal {
    const { mode, ...geometry } = layer.timeGeometry();
    this.graph.setAxis(layer.layout === 'mlx' ? 1 : 2, layer.constructor.name);
    if (this.index === 0) this.graph.channels ??= layer.inChannels;
    const reach = geometry.dilation * (geometry.kernel - 1);
    if (!geometry.transposed && (mode !== 'zeros' ? geometry.left + geometry.right > 0 : Math.max(geometry.left, geometry.right) > reach)) {
      const padded = this.graph.add(new PadNode(this.#parent, geometry.left, geometry.right, mode, this.graph.axis));
      return padded.#convolve(layer, { ...geometry, left: 0, right: 0 }, fusion, residual, running);
    }
    return this.#convolve(layer, geometry, fusion, residual, running);
  }

  #convolve(layer: ConvLayer, geometry: ConstructorParameters<typeof ConvNode>[1], fusion: Fusion, residual?: Signal, running?: Signal): Signal {
    const inputs = [this, residual, running].filter((signal) => signal !== undefined).map((signal) => this.#sibling(signal).index);
    const Node = geometry.transposed ? ConvTransposeNode : ConvNode;
    return this.graph.add(new Node(layer, geometry, inputs, this.#parent.node, fusion, residual !== undefined));
  }

  get #parent(): { index: number; node: StreamNode } {
    return { index: this.index, node: this.graph.nodes[this.index] as StreamNode };
  }

  #sibling(other: Signal): Signal {
    if (!(other instanceof Signal) || other.graph !== this.graph) fail('ERR_ARGUMENT', 'signal is not one of this stream');
    return other;
  }
}
