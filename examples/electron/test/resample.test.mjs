import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';

const { resample } = createRequire(import.meta.url)('../dist/engine/resample.js');
const tone = (hertz, rate, seconds) => Float32Array.from({ length: rate * seconds }, (_, i) => Math.sin((2 * Math.PI * hertz * i) / rate));

for (const [from, to] of [
  [44_100, 16_000],
  [48_000, 16_000],
  [8_000, 16_000],
  [22_050, 16_000],
  [96_000, 16_000],
]) {
  test(`${from} Hz becomes ${to} Hz: tones keep their shape, what does not fit is removed`, () => {
    const highest = Math.min(from, to) / 2;
    for (const hertz of [100, 1000, 0.8 * highest]) {
      const actual = resample(tone(hertz, from, 1), from, to);
      const expected = tone(hertz, to, 1);
      assert.equal(actual.length, to);
      // Away from the ends, where the sound is cut off.
      for (let i = to / 10; i < 0.9 * to; i++)
        assert.ok(Math.abs(actual[i] - expected[i]) < 1e-3, `${hertz} Hz, sample ${i}: ${actual[i]}, not ${expected[i]}`);
    }
    if (from > to) {
      const gone = resample(tone(1.1 * highest, from, 1), from, to).subarray(to / 10, 0.9 * to);
      assert.ok(Math.max(...gone.map(Math.abs)) < 1e-3);
    }
  });
}

test('the same rate is left as it is', () => {
  const samples = tone(440, 16_000, 1);
  assert.equal(resample(samples, 16_000, 16_000), samples);
});
