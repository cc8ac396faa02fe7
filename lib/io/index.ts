export { type FoldOptions, foldCheckpoint } from './fold-checkpoint.js';
export { loadNpy, type NpyArray, saveNpy } from './npy.js';
export { type LoadedTensors, type LoadOptions, loadSafetensors, saveSafetensors } from './safetensors.js';
