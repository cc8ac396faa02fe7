// The benchmark's cases as ONNX graphs, weights folded: what a runtime that knows nothing of weight norm is given.
import { Graph } from './onnx.mjs';

const symmetric = (padding) => [...padding, ...padding];

/** w = g·v/‖v‖ over all axes but the first, float64 inside. */
export function fold(v, g) {
  const data = new Float32Array(v.data.length);
  const length = data.length / v.shape[0];
  for (let row = 0; row < v.shape[0]; row++) {
    let squares = 0;
    for (let i = row * length; i < (row + 1) * length; i++) squares += v.data[i] ** 2;
    const scale = g.data[row] / Math.sqrt(squares);
    for (let i = row * length; i < (row + 1) * length; i++) data[i] = v.data[i] * scale;
  }
  return { shape: v.shape, data };
}

/** `copies` times the same layer, each with an input x0, x1, … of its own, so that none is optimised away. */
export function layerGraph(item, tensors, copies) {
  const graph = new Graph();
  const weight = fold(tensors.get('weight_v'), tensors.get('weight_g'));
  const [w, b] = [graph.constant(weight.shape, weight.data), graph.constant(tensors.get('bias').shape, tensors.get('bias').data)];
  const attributes = { kernel_shape: item.weight.slice(2), strides: item.stride, dilations: item.dilation, pads: symmetric(item.padding), group: item.groups };
  const type = { Linear: 'Gemm', ConvTranspose1d: 'ConvTranspose' }[item.family] ?? 'Conv';
  for (let copy = 0; copy < copies; copy++) {
    const x = graph.input(`x${copy}`, item.x);
    graph.output(graph.node(type, [x, w, b], type === 'Gemm' ? { transB: 1 } : attributes));
  }
  return graph.model();
}

/** `copies` times g·v/‖v‖ of v0, v1, … as the graph that exporters write. */
export function opGraph(item, copies) {
  const graph = new Graph();
  const axes = item.weight.slice(1).map((_, axis) => axis + 1);
  const g = graph.input('g', [item.weight[0], ...axes.map(() => 1)]);
  for (let copy = 0; copy < copies; copy++) {
    const v = graph.input(`v${copy}`, item.weight);
    graph.output(graph.node('Mul', [v, graph.node('Div', [g, graph.node('ReduceL2', [v], { axes, keepdims: 1 })])]));
  }
  return graph.model();
}

/** HiFi-GAN's generator (Kong et al. 2020) for one length of mel. */
export function vocoderGraph({ config, x: melShape }, tensors) {
  const graph = new Graph();
  const parameters = (name) => {
    const { shape, data } = fold(tensors.get(`${name}.weight_v`), tensors.get(`${name}.weight_g`));
    const bias = tensors.get(`${name}.bias`);
    return { kernel: shape[2], inputs: [graph.constant(shape, data), graph.constant(bias.shape, bias.data)] };
  };
  const leaky = (x, slope = 0.1) => graph.node('LeakyRelu', [x], { alpha: { float: slope } });
  const conv = (name, x, dilation = 1) => {
    const { kernel, inputs } = parameters(name);
    const pad = ((kernel - 1) * dilation) / 2;
    return graph.node('Conv', [x, ...inputs], { kernel_shape: [kernel], dilations: [dilation], pads: [pad, pad] });
  };
  const up = (name, x, stride) => {
    const { kernel, inputs } = parameters(name);
    const pad = Math.floor((kernel - stride) / 2);
    return graph.node('ConvTranspose', [x, ...inputs], { kernel_shape: [kernel], strides: [stride], pads: [pad, pad] });
  };
  const block = (name, dilations, x) =>
    dilations.reduce((y, dilation, d) => {
      const first = conv(`${name}.${config.resblock === '1' ? 'convs1' : 'convs'}.${d}`, leaky(y), dilation);
      return graph.node('Add', [config.resblock === '1' ? conv(`${name}.convs2.${d}`, leaky(first)) : first, y]);
    }, x);

  const count = config.resblock_kernel_sizes.length;
  const blocks = graph.constant([], Float32Array.of(count));
  let x = conv('conv_pre', graph.input('mel', melShape));
  config.upsample_rates.forEach((rate, stage) => {
    x = up(`ups.${stage}`, leaky(x), rate);
    const outputs = config.resblock_dilation_sizes.map((dilations, j) => block(`resblocks.${stage * count + j}`, dilations, x));
    x = graph.node('Div', [outputs.reduce((sum, y) => graph.node('Add', [sum, y])), blocks]);
  });
  graph.output(graph.node('Tanh', [conv('conv_post', leaky(x, 0.01))]));
  return graph.model();
}
