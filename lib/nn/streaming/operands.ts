import type { ActivationSpec } from '../../fused.js';
import type { Tensor } from '../../tensor.js';
import type { ConvLayer } from '../conv-layer.js';
import { normsOf } from '../normed-weight.js';
import type { AnyConvNode } from './conv-node.js';

/** Fields of a layer: those of a normed weight are not declared. Named as they are, since they are read for every layer at every push. */
type Parameters = ConvLayer & { weight_g?: Tensor; weight_v?: Tensor };

/** @internal What a convolution of a stream was given, and whether it would be given the same again. */
export class ConvOperands {
  readonly values: ReturnType<AnyConvNode['layer']['operands']>;
  readonly fusion: ReturnType<AnyConvNode['fusion']>;
  readonly #node: AnyConvNode;
  readonly #layer: Parameters;
  /** Of a normed weight, which is another where g or v is. */
  readonly #g: Tensor | undefined;
  readonly #v: Tensor | undefined;
  /** All that must neither be written to nor disposed of. */
  readonly #tensors: readonly Tensor[];
  readonly #versions: readonly number[];

  constructor(node: AnyConvNode) {
    const { layer } = node;
    this.#node = node;
    this.#layer = layer as Parameters;
    this.values = layer.operands();
    const { pre, post, ...rest } = node.fusion();
    // Copies: a specification may be changed in place.
    this.fusion = { ...rest, pre: pre && { ...pre }, post: post && { ...post } };
    const norm = normsOf(layer).get('weight');
    [this.#g, this.#v] = [norm?.g, norm?.v];
    const { weight, scale, bias } = this.values;
    this.#tensors = [this.#g, this.#v, weight, scale, bias, pre?.alpha, post?.alpha].filter((tensor) => tensor != null);
    this.#versions = this.#tensors.map(({ version }) => version);
  }

  current(): boolean {
    const layer = this.#layer;
    if (this.#g ? layer.weight_g !== this.#g || layer.weight_v !== this.#v : layer.weight !== this.values.weight) return false;
    if (layer.bias !== this.values.bias) return false;
    const tensors = this.#tensors;
    for (let i = 0; i < tensors.length; i++) {
      const tensor = tensors[i] as Tensor;
      if (tensor.disposed || tensor.version !== this.#versions[i]) return false;
    }
    const { pre, post, outScale } = this.#node.fusion();
    return outScale === this.fusion.outScale && same(pre, this.fusion.pre) && same(post, this.fusion.post);
  }
}

function same(a: ActivationSpec | undefined, b: ActivationSpec | undefined): boolean {
  if (!a || !b) return a === b;
  return a.kind === b.kind && a.param === b.param && a.logScale === b.logScale && a.alpha === b.alpha;
}
