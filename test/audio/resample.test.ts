import { audio } from 'weightnorm';
import { expectError } from '../support/errors';

const tone = (hertz: number, rate: number, length: number): Float32Array => Float32Array.from({ length }, (_, i) => Math.sin((2 * Math.PI * hertz * i) / rate));
const largest = (values: Float32Array): number => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

test.each([
  [44_100, 16_000],
  [48_000, 16_000],
  [8_000, 16_000],
  [22_050, 16_000],
  [96_000, 16_000],
  [16_000, 44_100],
  [44_101, 16_000],
])('%i Hz becomes %i Hz: tones keep their shape, what does not fit is removed', (from, to) => {
  const highest = Math.min(from, to) / 2;
  const inner = (sound: Float32Array): Float32Array => sound.subarray(to / 10, 0.9 * to);
  for (const hertz of [100, 1000, 0.8 * highest]) {
    const actual = audio.resample(tone(hertz, from, from), from, to);
    expect(actual).toHaveLength(to);
    const expected = tone(hertz, to, to);
    // Away from the ends, where the sound is cut off.
    expect(largest(inner(actual.map((value, i) => value - (expected[i] as number))))).toBeLessThan(1e-3);
  }
  if (from > to) expect(largest(inner(audio.resample(tone(1.1 * highest, from, from), from, to)))).toBeLessThan(1e-3);
});

test('the same rate gives the same samples, in memory of their own', () => {
  const samples = tone(440, 16_000, 100);
  const copy = audio.resample(samples, 16_000, 16_000);
  expect(copy).toEqual(samples);
  expect(copy.buffer).not.toBe(samples.buffer);
});

test('one sample, and rates as far apart as allowed', () => {
  expect(audio.resample(Float32Array.of(1), 48_000, 16_000)).toHaveLength(1);
  expect(audio.resample(Float32Array.of(1, 1), 1, 256)).toHaveLength(512);
  expect(audio.resample(new Float32Array(1000).fill(1), 256, 1)).toHaveLength(4);
});

describe('what is refused', () => {
  const two = Float32Array.of(0, 1);
  test.each<[string, () => unknown, 'ERR_ARGUMENT' | 'ERR_DTYPE' | 'ERR_SHAPE', RegExp]>([
    ['a rate of 0', () => audio.resample(two, 0, 16_000), 'ERR_ARGUMENT', /from is 0; it must be a sample rate above 0, in Hz/],
    ['a rate below 0', () => audio.resample(two, 16_000, -1), 'ERR_ARGUMENT', /to is -1/],
    ['no number', () => audio.resample(two, Number.NaN, 16_000), 'ERR_ARGUMENT', /from is NaN/],
    ['an infinite rate', () => audio.resample(two, 16_000, Infinity), 'ERR_ARGUMENT', /to is Infinity/],
    ['rates too far apart', () => audio.resample(two, 1, 257), 'ERR_ARGUMENT', /from is 1 Hz and to is 257 Hz; one may be at most 256 times the other/],
    ['no samples', () => audio.resample(new Float32Array(0), 8000, 16_000), 'ERR_SHAPE', /samples is empty/],
    ['an array', () => audio.resample([1, 2] as unknown as Float32Array, 8000, 16_000), 'ERR_DTYPE', /samples is \[1, 2\]; it must be a Float32Array/],
    ['too much', () => audio.resample(new Float32Array(9_000_000), 1, 256), 'ERR_SHAPE', /make 2304000000 at 256 Hz; at most 2147483647/],
  ])('%s', async (_name, call, code, message) => {
    await expectError(call, code, message);
  });
});
