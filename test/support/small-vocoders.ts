import { audio, type Device, scope } from 'weightnorm';
import { randomState } from './hifigan-reference';

/** The official shapes with few channels, and one where nothing is a power of two and a kernel and its rate differ by an odd number. */
export const smallConfigs: Record<string, audio.HifiGanConfig> = {
  V1: {
    resblock: '1',
    num_mels: 5,
    upsample_rates: [8, 8, 2, 2],
    upsample_kernel_sizes: [16, 16, 4, 4],
    upsample_initial_channel: 16,
    resblock_kernel_sizes: [3, 7, 11],
    resblock_dilation_sizes: [
      [1, 3, 5],
      [1, 3, 5],
      [1, 3, 5],
    ],
  },
  V2: {
    resblock: '1',
    num_mels: 6,
    upsample_rates: [4, 2],
    upsample_kernel_sizes: [8, 4],
    upsample_initial_channel: 32,
    resblock_kernel_sizes: [3, 7, 11],
    resblock_dilation_sizes: [
      [1, 3, 5],
      [1, 3, 5],
      [1, 3, 5],
    ],
  },
  V3: {
    resblock: '2',
    num_mels: 5,
    upsample_rates: [8, 8, 4],
    upsample_kernel_sizes: [16, 16, 8],
    upsample_initial_channel: 24,
    resblock_kernel_sizes: [3, 5, 7],
    resblock_dilation_sizes: [
      [1, 2],
      [2, 6],
      [3, 12],
    ],
  },
  odd: {
    resblock: '2',
    num_mels: 4,
    upsample_rates: [5, 3],
    upsample_kernel_sizes: [10, 8],
    upsample_initial_channel: 12,
    resblock_kernel_sizes: [5, 4],
    resblock_dilation_sizes: [[1, 2, 4], [2]],
  },
};

/** A vocoder with weights that keep signals near 1 through every layer. */
export function smallVocoder(name: string, device: Device, algorithm: 'auto' | 'direct', seed = 11): audio.HifiGan {
  const config = smallConfigs[name] as audio.HifiGanConfig;
  const model = new audio.HifiGan(config, { device, init: 'zeros', algorithm });
  const state = randomState(config, seed);
  scope(() => model.loadStateDict(new Map([...state].map(([key, { shape, data }]) => [key, device.tensor(data, { shape })]))));
  return model;
}

/** Frames `from` to `to` of a spectrogram. */
export function frames(mel: audio.Mel, from: number, to: number): audio.Mel {
  const data = new Float32Array(mel.mels * (to - from));
  for (let band = 0; band < mel.mels; band++) data.set(mel.data.subarray(band * mel.frames + from, band * mel.frames + to), band * (to - from));
  return { data, mels: mel.mels, frames: to - from };
}

export function join(parts: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
