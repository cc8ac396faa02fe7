export { readWav, type Wav, type WriteWavOptions, writeWav, writeWavStream } from '../io/wav.js';
export { HifiGan, type HifiGanOptions, type SynthesizeOptions } from './hifigan.js';
export type { HifiGanConfig } from './hifigan-config.js';
export { type Mel, type MelConfig, melDistance, melSpectrogram } from './mel.js';
export { resample } from './resample.js';
export { type Accumulation, ResBlock, ResBlock1, ResBlock2 } from './resblock.js';
export type { MelSource, SynthesizeStreamOptions } from './streaming/pipes.js';
export { type SchedulerOptions, StreamScheduler } from './streaming/scheduler.js';
export { type StreamOptions, Synthesizer } from './streaming/synthesizer.js';
