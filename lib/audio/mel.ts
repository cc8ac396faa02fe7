import { describe, fail } from '../errors.js';
import { fft } from './fft.js';

/** The front end of a vocoder, in config.json's own keys. Frequencies in Hz, sizes in samples. */
export interface MelConfig {
  sampling_rate: number;
  n_fft: number;
  hop_size: number;
  /** Length of the window, at most n_fft. */
  win_size: number;
  num_mels: number;
  fmin: number;
  /** Upper edge of the highest band; null is half the sampling rate. */
  fmax: number | null;
}

/** A mel spectrogram: natural logarithms, [mels, frames] row-major. */
export interface Mel {
  data: Float32Array;
  mels: number;
  frames: number;
}

/** Slaney's mel scale (Auditory Toolbox 1998): linear below 1 kHz, logarithmic above. */
const melStep = 200 / 3;
const kneeMel = 1000 / melStep;
const logStep = Math.log(6.4) / 27;
const hzToMel = (hz: number): number => (hz < 1000 ? hz / melStep : kneeMel + Math.log(hz / 1000) / logStep);
const melToHz = (mel: number): number => (mel < kneeMel ? mel * melStep : 1000 * Math.exp(logStep * (mel - kneeMel)));

/** A triangular band over the bins from `first` on. */
interface Band {
  first: number;
  weights: Float64Array;
}

/** Slaney's filters: triangles evenly spaced in mel, each of area 1 in Hz. */
function filterbank(config: MelConfig): Band[] {
  const top = config.fmax ?? config.sampling_rate / 2;
  const [low, high] = [hzToMel(config.fmin), hzToMel(top)];
  const edges = Array.from({ length: config.num_mels + 2 }, (_, i) => melToHz(low + ((high - low) * i) / (config.num_mels + 1)));
  const bins = Array.from({ length: config.n_fft / 2 + 1 }, (_, i) => (i * config.sampling_rate) / config.n_fft);
  return Array.from({ length: config.num_mels }, (_, band) => {
    const [left, centre, right] = edges.slice(band, band + 3) as [number, number, number];
    const weights = bins.map((hz) => (2 / (right - left)) * Math.max(0, Math.min((hz - left) / (centre - left), (right - hz) / (right - centre))));
    const first = Math.max(
      0,
      weights.findIndex((weight) => weight > 0),
    );
    const last = weights.findLastIndex((weight) => weight > 0);
    return { first, weights: Float64Array.from(weights.slice(first, last + 1)) };
  });
}

/** Checks a front end's numbers; throws ERR_ARGUMENT naming the key, or ERR_FORMAT naming `file` where they come from one. */
export function checkMelConfig(config: Partial<MelConfig>, file?: string): MelConfig {
  const bad = (key: keyof MelConfig, allowed: string): never =>
    fail(file ? 'ERR_FORMAT' : 'ERR_ARGUMENT', `${file ? `${file}: ` : ''}${key} is ${describe(config[key])}; it must be ${allowed}`);
  const count = (key: 'sampling_rate' | 'n_fft' | 'hop_size' | 'win_size' | 'num_mels'): number => {
    const value = config[key];
    return Number.isSafeInteger(value) && (value as number) >= 1 ? (value as number) : bad(key, 'an integer of at least 1');
  };
  const [sampling_rate, n_fft, hop_size, win_size, num_mels] = [
    count('sampling_rate'),
    count('n_fft'),
    count('hop_size'),
    count('win_size'),
    count('num_mels'),
  ];
  if (n_fft % 2 !== 0 || n_fft > 1 << 20) bad('n_fft', 'even and at most 2^20');
  if (win_size > n_fft) bad('win_size', `at most n_fft, ${n_fft}`);
  if (hop_size > n_fft) bad('hop_size', `at most n_fft, ${n_fft}`);
  if (num_mels > n_fft) bad('num_mels', `at most n_fft, ${n_fft}`);
  const { fmin, fmax = null } = config;
  const half = sampling_rate / 2;
  if (typeof fmin !== 'number' || !(fmin >= 0 && fmin < half)) return bad('fmin', `a number from 0 to below half the sampling rate, ${half}`);
  if (fmax !== null && !(typeof fmax === 'number' && fmax > fmin && fmax <= half))
    return bad('fmax', `null or a number above fmin, ${fmin}, and at most half the sampling rate, ${half}`);
  return { sampling_rate, n_fft, hop_size, win_size, num_mels, fmin, fmax };
}

/** A periodic Hann window of `win` samples, centred in `size`. */
function hann(win: number, size: number): Float64Array {
  const window = new Float64Array(size);
  const start = Math.floor((size - win) / 2);
  for (let i = 0; i < win; i++) window[start + i] = 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / win);
  return window;
}

/** The fewest samples a spectrogram can be made of: reflect padding needs more than it adds, and one window must fit. */
export function leastSamples({ n_fft, hop_size }: MelConfig): number {
  const padding = Math.floor((n_fft - hop_size) / 2);
  return Math.max(padding + 1, n_fft - 2 * padding);
}

/**
 * The log-mel spectrogram that HiFi-GAN (Kong et al. 2020) is trained on: reflect padding by (n_fft − hop_size)/2, periodic Hann
 * window, magnitude √(re² + im² + 1e-9), Slaney mel filters, ln(max(·, 1e-5)). Computed in float64.
 * @param samples mono, full scale ±1; more than (n_fft − hop_size)/2 of them
 * @returns `[num_mels, frames]` with frames = 1 + ⌊(samples + 2·padding − n_fft)/hop_size⌋
 * @throws WeightNormError ERR_SHAPE if there are too few samples, ERR_ARGUMENT for a bad config or samples that are not finite.
 */
export function melSpectrogram(samples: Float32Array, config: MelConfig): Mel {
  const { n_fft: size, hop_size: hop, win_size: win, num_mels: mels } = checkMelConfig(config);
  if (!/^\[object Float(32|64)Array\]$/.test(Object.prototype.toString.call(samples)))
    fail('ERR_DTYPE', `samples is ${describe(samples)}; it must be a Float32Array`);
  const padding = Math.floor((size - hop) / 2);
  const length = samples.length;
  const least = leastSamples(config);
  if (length < least) fail('ERR_SHAPE', `samples has ${length} elements; with n_fft ${size} and hop_size ${hop} at least ${least} are needed`);
  const strange = samples.findIndex((value) => !Number.isFinite(value));
  if (strange >= 0) fail('ERR_ARGUMENT', `sample ${strange} is ${samples[strange]}; samples must be finite`);

  const frames = 1 + Math.floor((length + 2 * padding - size) / hop);
  const data = new Float32Array(mels * frames);
  const bands = filterbank({ ...config, fmax: config.fmax ?? null });
  const window = hann(win, size);
  const transform = fft(size);
  const re = new Float64Array(size);
  const im = new Float64Array(size);
  for (let frame = 0; frame < frames; frame++) {
    for (let i = 0; i < size; i++) {
      let at = Math.abs(frame * hop + i - padding);
      if (at >= length) at = 2 * (length - 1) - at;
      re[i] = (samples[at] as number) * (window[i] as number);
    }
    im.fill(0);
    transform(re, im);
    for (let k = 0; k <= size / 2; k++) re[k] = Math.sqrt((re[k] as number) ** 2 + (im[k] as number) ** 2 + 1e-9);
    bands.forEach(({ first, weights }, band) => {
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += (weights[k] as number) * (re[first + k] as number);
      data[band * frames + frame] = Math.log(Math.max(sum, 1e-5));
    });
  }
  return { data, mels, frames };
}

/** Mean |a − b| of two log-mel spectrograms over the frames both have. */
export function melDistance(a: Mel, b: Mel): number {
  if (a.mels !== b.mels) fail('ERR_SHAPE', `a has ${a.mels} bands, b has ${b.mels}; they must be equal`);
  const frames = Math.min(a.frames, b.frames);
  let sum = 0;
  for (let band = 0; band < a.mels; band++) {
    for (let i = 0; i < frames; i++) sum += Math.abs((a.data[band * a.frames + i] as number) - (b.data[band * b.frames + i] as number));
  }
  return sum / (a.mels * frames);
}
