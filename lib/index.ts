/**
 * Weight-normalised neural audio networks for Node: tensors on Apple GPUs or the CPU, torch-compatible layers,
 * checkpoints, and a HiFi-GAN vocoder.
 * @packageDocumentation
 */

export * as audio from './audio/index.js';
export { Device, type DeviceInfo, type DeviceType, type MemoryFigures } from './device.js';
export type { DType } from './dtype.js';
export { type ErrorCode, WeightNormError } from './errors.js';
export * as functional from './functional.js';
export * as io from './io/index.js';
export * as nn from './nn/index.js';
export { scope } from './scope.js';
export { type NestedArray, Tensor, type TensorData } from './tensor.js';
