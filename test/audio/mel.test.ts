import { readFileSync } from 'node:fs';
import { audio } from 'weightnorm';
import { expectError } from '../support/errors';
import { type GoldenTensor, readGolden } from '../support/golden';
import { values } from '../support/random';

const voice = JSON.parse(readFileSync('examples/voice/config.json', 'utf8')) as audio.MelConfig;

/** HiFi-GAN's recipe word for word, with a Fourier transform straight from its definition. */
function direct(samples: Float32Array, config: audio.MelConfig): number[][] {
  const { n_fft, hop_size, win_size, num_mels, sampling_rate, fmin } = config;
  const pad = Math.floor((n_fft - hop_size) / 2);
  const left = [...samples.subarray(1, pad + 1)].reverse();
  const right = [...samples.subarray(samples.length - 1 - pad, samples.length - 1)].reverse();
  const padded = [...left, ...samples, ...right];
  const mel = (hz: number): number => (hz < 1000 ? (3 * hz) / 200 : 15 + (27 * Math.log(hz / 1000)) / Math.log(6.4));
  const hz = (m: number): number => (m < 15 ? (200 * m) / 3 : 1000 * Math.exp(((m - 15) * Math.log(6.4)) / 27));
  const [low, high] = [mel(fmin), mel(config.fmax ?? sampling_rate / 2)];
  const edge = (i: number): number => hz(low + ((high - low) * i) / (num_mels + 1));
  const frames: number[][] = [];
  for (let start = 0; start + n_fft <= padded.length; start += hop_size) {
    const offset = Math.floor((n_fft - win_size) / 2);
    const windowed = Array.from({ length: n_fft }, (_, i) => {
      const j = i - offset;
      return j >= 0 && j < win_size ? (padded[start + i] as number) * (0.5 - 0.5 * Math.cos((2 * Math.PI * j) / win_size)) : 0;
    });
    const magnitude = Array.from({ length: n_fft / 2 + 1 }, (_, k) => {
      let [re, im] = [0, 0];
      windowed.forEach((value, i) => {
        re += value * Math.cos((2 * Math.PI * ((i * k) % n_fft)) / n_fft);
        im -= value * Math.sin((2 * Math.PI * ((i * k) % n_fft)) / n_fft);
      });
      return Math.sqrt(re * re + im * im + 1e-9);
    });
    frames.push(
      Array.from({ length: num_mels }, (_, band) => {
        const [a, b, c] = [edge(band), edge(band + 1), edge(band + 2)];
        const sum = magnitude.reduce((total, value, k) => {
          const f = (k * sampling_rate) / n_fft;
          const height = f <= a || f >= c ? 0 : f <= b ? (f - a) / (b - a) : (c - f) / (c - b);
          return total + (value * height * 2) / (c - a);
        }, 0);
        return Math.log(Math.max(sum, 1e-5));
      }),
    );
  }
  return frames;
}

describe("torch's spectrograms of recorded speech", () => {
  const golden = readGolden('vocoder.safetensors');
  const names = [...golden.keys()].filter((key) => key.endsWith('.wav')).map((key) => key.slice(0, -4));
  expect(names.length).toBe(3);
  test.each(names)('%s, within 1e-3', (name) => {
    const { data, mels, frames } = audio.melSpectrogram(Float32Array.from((golden.get(`${name}.wav`) as GoldenTensor).data), voice);
    const reference = golden.get(`${name}.mel`) as GoldenTensor;
    expect([mels, frames]).toEqual(reference.shape);
    expect(data.reduce((worst, value, i) => Math.max(worst, Math.abs(value - (reference.data[i] as number))), 0)).toBeLessThanOrEqual(1e-3);
  });
});

test.each<[string, Partial<audio.MelConfig>, number]>([
  ['a power of two', { n_fft: 64, win_size: 64, hop_size: 16, num_mels: 12 }, 401],
  ['a size that is no power of two', { n_fft: 90, win_size: 90, hop_size: 22, num_mels: 10 }, 300],
  ['a size that is twice a prime', { n_fft: 62, win_size: 62, hop_size: 31, num_mels: 8 }, 257],
  ['a window shorter than the transform', { n_fft: 128, win_size: 101, hop_size: 32, num_mels: 16 }, 300],
  ['an odd difference of size and hop', { n_fft: 64, win_size: 64, hop_size: 15, num_mels: 9 }, 200],
  ['no fmax, and fmin above 1 kHz', { n_fft: 128, win_size: 128, hop_size: 32, num_mels: 20, fmin: 1200, fmax: null }, 300],
  ['bands narrower than a bin', { n_fft: 32, win_size: 32, hop_size: 8, num_mels: 32 }, 100],
  ['the fewest samples there may be', { n_fft: 64, win_size: 64, hop_size: 16, num_mels: 12 }, 25],
])('the recipe computed from its definition: %s', (_, changes, length) => {
  const config = { ...voice, ...changes };
  const samples = values(length, 7);
  const expected = direct(samples, config);
  const { data, mels, frames } = audio.melSpectrogram(samples, config);
  expect([mels, frames]).toEqual([config.num_mels, expected.length]);
  let worst = 0;
  expected.forEach((frame, i) => frame.forEach((value, band) => (worst = Math.max(worst, Math.abs(value - (data[band * frames + i] as number))))));
  expect(worst).toBeLessThan(2e-6);
});

test('silence is the floor of the logarithm, or of the magnitude where that is higher', () => {
  const { data } = audio.melSpectrogram(new Float32Array(4000), voice);
  expect(Math.min(...data)).toBeGreaterThanOrEqual(Math.fround(Math.log(1e-5)));
  expect(Math.max(...data)).toBeLessThan(-10);
});

test('melDistance is the mean difference over the frames both have', () => {
  const a = { data: Float32Array.of(1, 2, 3, 4, 5, 6), mels: 2, frames: 3 };
  const b = { data: Float32Array.of(2, 2, 4, 8), mels: 2, frames: 2 };
  expect(audio.melDistance(a, b)).toBe((1 + 0 + 0 + 3) / 4);
  expectError(() => audio.melDistance(a, { ...b, mels: 4, frames: 1 }), 'ERR_SHAPE', /a has 2 bands, b has 4/);
});

test.each<[string, unknown, Record<string, unknown>, 'ERR_SHAPE' | 'ERR_DTYPE' | 'ERR_ARGUMENT', RegExp]>([
  ['too few samples', new Float32Array(384), {}, 'ERR_SHAPE', /samples has 384 elements; with n_fft 1024 and hop_size 256 at least 385 are needed/],
  ['no typed array', [1, 2], {}, 'ERR_DTYPE', /samples is \[1, 2\]; it must be a Float32Array/],
  ['NaN', new Float32Array(500).fill(Number.NaN, 3), {}, 'ERR_ARGUMENT', /sample 3 is NaN; samples must be finite/],
  ['an odd n_fft', new Float32Array(5000), { n_fft: 1023, win_size: 512 }, 'ERR_ARGUMENT', /n_fft is 1023; it must be even/],
  ['a missing key', new Float32Array(5000), { hop_size: undefined }, 'ERR_ARGUMENT', /hop_size is undefined; it must be an integer of at least 1/],
  ['a window longer than the transform', new Float32Array(5000), { win_size: 2048 }, 'ERR_ARGUMENT', /win_size is 2048; it must be at most n_fft, 1024/],
  ['a hop longer than the transform', new Float32Array(5000), { hop_size: 2048 }, 'ERR_ARGUMENT', /hop_size is 2048; it must be at most n_fft/],
  ['fmin above fmax', new Float32Array(5000), { fmin: 4000, fmax: 3000 }, 'ERR_ARGUMENT', /fmax is 3000; it must be null or a number above fmin, 4000/],
  ['fmax above half the sampling rate', new Float32Array(5000), { fmax: 9000 }, 'ERR_ARGUMENT', /fmax is 9000;.* at most half the sampling rate, 8000/],
  ['a negative fmin', new Float32Array(5000), { fmin: -1 }, 'ERR_ARGUMENT', /fmin is -1/],
])('%s is refused', (_, samples, changes, code, message) => {
  expectError(() => audio.melSpectrogram(samples as Float32Array, { ...voice, ...changes } as audio.MelConfig), code, message);
});
