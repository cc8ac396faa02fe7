export { Activation, ELU, GELU, LeakyReLU, ReLU, Sigmoid, SiLU, Snake, type SnakeOptions, Tanh } from './activations.js';
export type { LoadOptions, LoadResult, Naming, StateDictOptions } from './checkpoint.js';
export { Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d } from './conv.js';
export { ConvLayer, type ConvLayerOptions, type ConvTransposeLayerOptions } from './conv-layer.js';
export { Layer, type LayerOptions } from './layer.js';
export { convertedShape, convertLayout, convertWeight, type Layout, type WeightOrder } from './layout.js';
export { Linear, type LinearOptions } from './linear.js';
export { Module } from './module.js';
export { Sequential } from './sequential.js';
export { Signal } from './streaming/signal.js';
export { ModuleStream, type Stream } from './streaming/stream.js';
export { foldWeightNorm, type ModuleWeightNormOptions, removeWeightNorm, weightNorm } from './weight-norm.js';
export {
  WeightNormConv1d,
  WeightNormConv2d,
  WeightNormConvTranspose1d,
  WeightNormConvTranspose2d,
  WeightNormLinear,
} from './weight-norm-layers.js';
