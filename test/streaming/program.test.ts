import { type audio, nn, scope, WeightNormError } from 'weightnorm';
import type { Addon } from '../../lib/native';
import { devices } from '../support/devices';
import { generator, values } from '../support/random';
import { smallVocoder } from '../support/small-vocoders';

const { addon } = require('../../dist/native.js') as { addon: Addon };

type Call = Parameters<Addon['stream']>;

/** What the add-on was asked for by a few pushes, and stays alive. */
async function callsOf(vocoder: audio.HifiGan): Promise<Call[]> {
  const calls: Call[] = [];
  const { stream } = addon;
  addon.stream = (...call: Call) => {
    calls.push([call[0] && addon.view(call[0], addon.shape(call[0])), call[1] && addon.view(call[1], addon.shape(call[1])), call[2].slice(), [...call[3]]]);
    return stream(...call);
  };
  try {
    const pushed = vocoder.stream();
    const bands = vocoder.config.num_mels;
    for (const frames of [3, 9, 2]) await pushed.push({ data: values(bands * frames, frames), mels: bands, frames });
    await pushed.flush();
  } finally {
    addon.stream = stream;
  }
  return calls;
}

describe.each(devices)('%s', (label, device) => {
  const simulated = label.includes('simulated');

  test('a program whose numbers were spoilt is refused, or computes something: it reads and writes nothing beyond its tensors', async () => {
    const vocoder = smallVocoder('odd', device, 'direct');
    const calls = await callsOf(vocoder);
    expect(calls.length).toBe(4);
    const next = generator(3);
    const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)] as T;
    const spoilers = [-1, 0, 1, 2, 3, 5, 7, 8, 40, 999, 5000, 2 ** 40, 2 ** 53, -7, 0.5, Number.NaN, Number.POSITIVE_INFINITY];
    let [refused, computed] = [0, 0];
    for (let round = 0; round < (simulated ? 40 : 1500); round++) {
      const [x, before, numbers, tensors] = pick(calls);
      const spoilt = numbers.slice();
      for (let i = 0; i <= round % 3; i++) spoilt[Math.floor(next() * spoilt.length)] = pick(spoilers);
      const list = [...tensors];
      if (round % 5 === 0) [list[Math.floor(next() * list.length)], list[Math.floor(next() * list.length)]] = [pick(tensors), pick([...tensors, null])];
      try {
        for (const made of addon.stream(x, before, spoilt, list)) {
          if (!made) continue;
          await addon.read(made, false);
          addon.dispose(made);
        }
        computed++;
      } catch (error) {
        expect(error).toBeInstanceOf(WeightNormError);
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(5);
    expect(computed).toBeGreaterThan(5);
    for (const numbers of [new Float64Array(0), new Float64Array(1), new Float64Array(30), [0, 0] as never]) {
      const [x, before, , tensors] = calls[1] as Call;
      expect(() => addon.stream(x, before, numbers, tensors)).toThrow(WeightNormError);
    }
    // What it was given still computes what it computed.
    const mel = { data: values(vocoder.config.num_mels * 8, 1), mels: vocoder.config.num_mels, frames: 8 };
    const stream = vocoder.stream();
    const pieces = [await stream.push(mel), await stream.flush()];
    expect(Float32Array.from(pieces.flatMap((piece) => [...piece]))).toEqual(await vocoder.synthesize(mel));
    vocoder.dispose();
  }, 120_000);

  test('parameters that are replaced or rewritten between two pushes are seen by the next', () => {
    const layer = new nn.WeightNormConv1d(3, 4, 3, { device, algorithm: 'direct', seed: 2, padding: [2, 0] });
    scope(() => {
      const x = device.tensor(values(3 * 8, 4), { shape: [1, 3, 8] });
      const stream = layer.stream();
      const before = stream.push(x);
      (layer as unknown as { weight_g: { write(data: Float32Array): void } }).weight_g.write(new Float32Array(4).fill(2));
      const bias = device.tensor(values(4, 9));
      layer.bias?.dispose();
      layer.bias = bias;
      const after = stream.push(x);
      const both = device.tensor(values(3 * 16, 4), { shape: [1, 3, 16] });
      const twice = new Float32Array(3 * 16);
      const [row] = [x.readSync()];
      for (let c = 0; c < 3; c++) for (const half of [0, 8]) twice.set(row.subarray(c * 8, c * 8 + 8), c * 16 + half);
      both.write(twice);
      const expected = layer.forward(both).readSync();
      for (let c = 0; c < 4; c++) expect(after?.readSync().subarray(c * 8, c * 8 + 8)).toEqual(expected.subarray(c * 16 + 8, c * 16 + 16));
      expect(before?.readSync()).not.toEqual(after?.readSync());
      stream.dispose();
    });
    layer.dispose();
  });
});
