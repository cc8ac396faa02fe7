export { type ConvertOptions, convertCheckpoint, type FoldOptions, foldCheckpoint } from './convert-checkpoint.js';
export { type LoadedCheckpoint, type LoadedTensors, type LoadOptions, loadNpz, loadSafetensors, loadTorch, type TorchOptions } from './load.js';
export { loadNpy, type NpyArray, saveNpy } from './npy.js';
export { saveSafetensors } from './safetensors.js';
export type { TorchScalar, TorchValue } from './torch/flatten.js';
export type { TransposedLayers } from './weight-layout.js';
