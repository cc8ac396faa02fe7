import { type audio, functional, nn, scope, type Tensor, WeightNormError } from 'weightnorm';
import type { Addon, NativeTemplate, NativeTensor } from '../../lib/native';
import { devices } from '../support/devices';
import { generator, values } from '../support/random';
import { smallVocoder } from '../support/small-vocoders';

const { addon } = require('../../dist/native.js') as { addon: Addon };

const { cat, narrow } = functional;

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

  test('steady pushes are repeated from a template, until anything that they were given changes', () => {
    const { stream, streamAgain } = addon;
    const again: (boolean | null)[] = [];
    addon.stream = (...call) => {
      again.push(false);
      return stream(...call);
    };
    addon.streamAgain = (...call) => {
      const made = streamAgain(...call);
      if (made) again.push(true);
      return made;
    };
    const layer = new nn.WeightNormConv1d(3, 4, 3, { device, algorithm: 'direct', seed: 2, padding: [2, 0] });
    const fields = layer as unknown as Record<'weight_g' | 'weight_v', Tensor>;
    const replace = (name: 'weight_g' | 'weight_v', value: Tensor) => {
      fields[name].dispose();
      fields[name] = value;
    };
    const changes: [string, () => void][] = [
      ['nothing', () => {}],
      ['g written', () => fields.weight_g.write(new Float32Array(4).fill(2))],
      ['v written', () => fields.weight_v.write(values(36, 8))],
      ['bias written', () => layer.bias?.write(values(4, 5))],
      ['g replaced', () => replace('weight_g', device.tensor(values(4, 11), { shape: [4, 1, 1] }))],
      ['v replaced', () => replace('weight_v', device.tensor(values(36, 12), { shape: [4, 3, 3] }))],
      [
        'bias replaced',
        () => {
          layer.bias?.dispose();
          layer.bias = device.tensor(values(4, 9));
        },
      ],
      [
        'no bias',
        () => {
          layer.bias?.dispose();
          layer.bias = null;
        },
      ],
      ['caches dropped', () => layer.dropCaches()],
      ['folded', () => void nn.foldWeightNorm(layer)],
      ['folded weight written', () => layer.weight.write(values(36, 13))],
      ['weight norm again', () => void nn.weightNorm(layer)],
    ];
    const x = device.tensor(values(3 * 8, 4), { shape: [1, 3, 8] });
    const both = cat([x, x], 2);
    const pushed = layer.stream();
    const push = () => scope(() => pushed.push(x)?.readSync());
    const expected = () => scope(() => narrow(layer.forward(both), 2, 8, 8).readSync());
    try {
      for (let i = 0; i < 3; i++) push();
      for (const [name, change] of changes) {
        scope(change);
        again.length = 0;
        const first = push();
        expect([name, first]).toEqual([name, expected()]);
        expect([name, push()]).toEqual([name, first]);
        expect([name, again]).toEqual([name, [name === 'nothing', true]]);
      }
      // Another size, and then the same again: each has its own.
      scope(() => {
        const short = device.tensor(values(3 * 5, 6), { shape: [1, 3, 5] });
        again.length = 0;
        for (let i = 0; i < 3; i++) pushed.push(short);
      });
      expect(again).toEqual([false, false, true]);
      fields.weight_v.dispose();
      expect(() => pushed.push(x)).toThrow(/weight_v was disposed/);
    } finally {
      Object.assign(addon, { stream, streamAgain });
      pushed.dispose();
      layer.dispose();
      for (const tensor of [x, both]) tensor.dispose();
    }
  });

  test('a template serves only what it was made of, holds no memory, and is told from other values', async () => {
    const vocoder = smallVocoder('odd', device, 'direct');
    const [x, before, numbers, tensors] = (await callsOf(vocoder))[1] as Call;
    const [y, after, template] = addon.stream(x, before, numbers, tensors, true) as [NativeTensor, NativeTensor, NativeTemplate];
    const values = new Float32Array(await addon.read(y, true));
    const made = addon.streamAgain(x, before, template);
    expect(made?.[2]).toBe(template);
    expect(new Float32Array(await addon.read(made?.[0] as NativeTensor, true))).toEqual(values);
    expect(addon.shape(made?.[1] as NativeTensor)).toEqual(addon.shape(after));
    for (const given of [
      [null, before],
      [x, null],
      [before, before],
      [addon.cast(x as NativeTensor, 1), before],
      [x, addon.narrow(before as NativeTensor, 1, 0, 1)],
    ] as const) {
      expect(addon.streamAgain(...given, template)).toBeNull();
    }
    for (const wrong of [null, {}, x, 3]) expect(() => addon.streamAgain(x, before, wrong as never)).toThrow(/not the template of a stream/);
    expect(() => addon.streamAgain(null, null, template)).toThrow(WeightNormError);
    vocoder.dispose();
    await device.synchronize();
    expect(addon.streamAgain(x, before, template)).toBeNull();
  });
});
