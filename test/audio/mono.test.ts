import fc from 'fast-check';
import { audio } from 'weightnorm';
import { expectError } from '../support/errors';

test('the mean of all channels, sample by sample', () => {
  const sample = fc.float({ noNaN: true, min: -2, max: 2 });
  const channels = fc
    .tuple(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 0, max: 20 }))
    .chain(([count, length]) => fc.array(fc.array(sample, { minLength: length, maxLength: length }), { minLength: count, maxLength: count }));
  fc.assert(
    fc.property(channels, (values) => {
      const mono = audio.toMono(values.map((channel) => Float32Array.from(channel)));
      expect([...mono]).toEqual(
        (values[0] as number[]).map((_, i) => Math.fround(values.reduce((sum, channel) => sum + (channel[i] as number), 0) / values.length)),
      );
    }),
  );
});

test('one channel is copied', () => {
  const samples = Float32Array.of(0.5, -0.25);
  const mono = audio.toMono([samples]);
  samples[0] = 9;
  expect([...mono]).toEqual([0.5, -0.25]);
});

test.each<[string, unknown, 'ERR_SHAPE' | 'ERR_DTYPE', RegExp]>([
  ['no channels', [], 'ERR_SHAPE', /channels is \[\]; it must be a list of at least one channel/],
  ['no list', new Float32Array(3), 'ERR_SHAPE', /it must be a list of at least one channel/],
  ['a list of numbers', [1, 2], 'ERR_DTYPE', /channels\[0\] is 1; it must be a Float32Array/],
  ['lengths that differ', [new Float32Array(3), new Float32Array(2)], 'ERR_SHAPE', /channels\[1\] has 2 samples and channels\[0\] has 3/],
])('%s are refused', (_, channels, code, message) => {
  expectError(() => audio.toMono(channels as Float32Array[]), code, message);
});
