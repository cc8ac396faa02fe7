import { audio, Device, functional, nn, Tensor, WeightNormError } from 'weightnorm';
import type { Addon, NativePush, NativeTensor } from '../../lib/native';
import { runNode } from '../support/child';
import { collectGarbage, heldTensors } from '../support/collect';
import { randomCut } from '../support/cuts';
import { devices } from '../support/devices';
import { generator, values } from '../support/random';
import { frames, join, smallConfigs, smallVocoder } from '../support/small-vocoders';
import { controlFile } from '../support/softmetal';

const { addon } = require('../../dist/native.js') as { addon: Addon };
const { nativeOf } = require('../../dist/tensor.js') as { nativeOf(tensor: Tensor): NativeTensor };
const cpu = Device.get('cpu');

async function pushed(vocoder: audio.HifiGan, mel: audio.Mel, pieces: readonly number[]): Promise<{ samples: Float32Array; counts: number[] }> {
  const stream = vocoder.stream();
  const parts: Float32Array[] = [];
  let at = 0;
  for (const piece of pieces) {
    parts.push(await stream.push(frames(mel, at, at + piece)));
    at += piece;
  }
  const counts = parts.map(({ length }) => length);
  parts.push(await stream.flush());
  return { samples: join(parts), counts };
}

function worst(a: Float32Array, b: Float32Array): number {
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - (b[i] as number))), 0);
}

describe.each(devices)('%s', (label, device) => {
  const simulated = label.includes('simulated');

  test.each(Object.keys(smallConfigs))('a streamed %s is the offline one, bit for bit with direct, however it is cut', async (name) => {
    const vocoder = smallVocoder(name, device, 'direct');
    const bands = vocoder.config.num_mels;
    const next = generator(7);
    const lengths = simulated ? [6] : [1, 2, 11, 24, 47];
    for (const length of lengths) {
      const mel = { data: values(bands * length, length, 'float32', 2), mels: bands, frames: length };
      const expected = await vocoder.synthesize(mel);
      const cuts = [[length], randomCut(length, Math.floor(next() * 1000)), randomCut(length, Math.floor(next() * 1000), 4), new Array<number>(length).fill(1)];
      for (const pieces of simulated ? cuts.slice(1, 3) : cuts) {
        const { samples, counts } = await pushed(vocoder, mel, pieces);
        expect(samples.length).toBe(expected.length);
        expect(Buffer.from(samples.buffer).equals(Buffer.from(expected.buffer))).toBe(true);
        // Every sample whose frame lies `lookahead` before the end is out, and no frame earlier would do.
        let [frame, out] = [0, 0];
        pieces.forEach((piece, i) => {
          frame += piece;
          out += counts[i] as number;
          const { lookahead } = vocoder.stream();
          expect(out).toBeGreaterThanOrEqual(Math.max(0, frame - lookahead) * vocoder.hop);
          expect(out).toBeLessThan(Math.max(1, (frame - lookahead + 1) * vocoder.hop));
        });
      }
    }
    vocoder.dispose();
  });

  test.each(simulated ? ['V2'] : Object.keys(smallConfigs))('with the default algorithm a streamed %s is within 1e-5', async (name) => {
    const vocoder = smallVocoder(name, device, 'auto');
    const [bands, length] = [vocoder.config.num_mels, simulated ? 6 : 60];
    const mel = { data: values(bands * length, 3, 'float32', 2), mels: bands, frames: length };
    const expected = await vocoder.synthesize(mel);
    for (const seed of simulated ? [1] : [1, 2, 3]) {
      const { samples } = await pushed(vocoder, mel, randomCut(length, seed));
      expect(samples.length).toBe(expected.length);
      expect(worst(samples, expected)).toBeLessThan(1e-5);
    }
    vocoder.dispose();
  });

  if (simulated) {
    test.each(['V1', 'V3'])(
      'a push of a %s is one submission, a dispatch a convolution, waits for nothing inside and makes no buffers once it is steady',
      async (name) => {
        const control = require(controlFile);
        const vocoder = smallVocoder(name, device, 'auto');
        const bands = vocoder.config.num_mels;
        const convolutions = [...vocoder.namedModules().values()].filter(
          (module) => module instanceof nn.Conv1d || module instanceof nn.ConvTranspose1d,
        ).length;
        const piece = (count: number) => ({ data: values(bands * count, 1), mels: bands, frames: count });
        const counted = async (push: () => Promise<unknown>) => {
          control.resetCounters();
          await push();
          const { commandBuffers, dispatches, buffersCreated } = JSON.parse(control.counters());
          return { commandBuffers, dispatches, buffersCreated };
        };
        const streams = [vocoder.stream(), vocoder.stream()] as const;
        // Until the look-ahead is there, the layers behind it have nothing to do.
        await counted(() => streams[0].push(piece(1)));
        expect(convolutions).toBeGreaterThan(20);
        for (let i = 0; i < 8; i++) await Promise.all(streams.map((stream) => stream.push(piece(2))));
        // The frames are written where they are computed from; taking them in and each convolution is a dispatch.
        const alone = { commandBuffers: 1, dispatches: convolutions + 1, buffersCreated: 0 };
        const one = vocoder.stream();
        for (let i = 0; i < 9; i++) await one.push(piece(2));
        expect(await counted(() => one.push(piece(2)))).toEqual(alone);
        // Whatever the limits of a command buffer, and however many frames.
        for (let i = 0; i < 2; i++) await one.push(piece(5));
        const { commandBuffers, dispatches } = await counted(() => one.push(piece(5)));
        expect({ commandBuffers, dispatches }).toEqual({ commandBuffers: 1, dispatches: convolutions + 1 });
        for (const stream of [...streams, one]) stream.dispose();
        vocoder.dispose();
      },
    );
  }

  test('streams that are computed together give the bits that each gives alone', async () => {
    const vocoder = smallVocoder('V2', device, 'direct');
    const scheduler = new audio.StreamScheduler({ maxBatch: 3 });
    const count = simulated ? 2 : 7;
    const inputs = Array.from({ length: count }, (_, i) => {
      const length = simulated ? 6 : 12 + 5 * (i % 3);
      return { data: values(6 * length, i, 'float32', 2), mels: 6, frames: length };
    });
    const outputs = await Promise.all(
      inputs.map(async (mel, i) => {
        const stream = vocoder.stream({ scheduler });
        const parts: Float32Array[] = [];
        // Most keep step with each other, some do not.
        const step = i === 4 ? 3 : 4;
        for (let at = 0; at < mel.frames; at += step) parts.push(await stream.push(frames(mel, at, Math.min(mel.frames, at + step))));
        parts.push(await stream.flush());
        return join(parts);
      }),
    );
    for (const [i, mel] of inputs.entries()) expect(outputs[i]).toEqual(await vocoder.synthesize(mel));
    vocoder.dispose();
  });
});

describe('a stream', () => {
  const vocoder = smallVocoder('V2', cpu, 'direct');
  const mel = { data: values(6 * 60, 5, 'float32', 2), mels: 6, frames: 60 };
  let expected: Float32Array;
  beforeAll(async () => {
    expected = await vocoder.synthesize(mel);
  });

  test('takes tensors, and spectrograms that change after the call', async () => {
    const stream = vocoder.stream();
    const first = frames(mel, 0, 10);
    const promises = [stream.push(first)];
    first.data.fill(9);
    const second = frames(mel, 10, 60);
    const tensor = cpu.tensor(second.data, { shape: [6, 50] });
    promises.push(stream.push(tensor));
    tensor.dispose();
    promises.push(stream.flush());
    expect(join(await Promise.all(promises))).toEqual(expected);
  });

  test('a push longer than a forward takes turns and gives the same', async () => {
    const stream = vocoder.stream({ scheduler: new audio.StreamScheduler({ maxFrames: 7 }) });
    expect(join([await stream.push(mel), await stream.flush()])).toEqual(expected);
  });

  test('a wrong number of bands, and pushing after the end, are errors that disturb nobody', async () => {
    const [one, other] = [vocoder.stream(), vocoder.stream()];
    const before = [await one.push(frames(mel, 0, 9)), await other.push(frames(mel, 0, 9))];
    await expect(one.push({ data: new Float32Array(70), mels: 7, frames: 10 })).rejects.toMatchObject({
      code: 'ERR_SHAPE',
      message: expect.stringMatching(/7 bands/),
    });
    await expect(one.push(cpu.zeros([6, 3], 'float16'))).rejects.toMatchObject({ code: 'ERR_DTYPE' });
    const rest = async (stream: audio.Synthesizer, first: Float32Array) => join([first, await stream.push(frames(mel, 9, 60)), await stream.flush()]);
    expect(await rest(one, before[0] as Float32Array)).toEqual(expected);
    await expect(one.push(mel)).rejects.toMatchObject({ code: 'ERR_STATE', message: expect.stringMatching(/push: the stream was flushed/) });
    await expect(one.flush()).rejects.toMatchObject({ code: 'ERR_STATE' });
    const gone = vocoder.stream();
    const waiting = gone.push(mel);
    gone.dispose();
    await expect(waiting).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
    await expect(gone.push(mel)).rejects.toMatchObject({ code: 'ERR_DISPOSED', message: 'push: the stream was disposed' });
    expect(await rest(other, before[1] as Float32Array)).toEqual(expected);
    expect(await vocoder.stream().flush()).toEqual(new Float32Array(0));
  });

  test('one that fails on the device fails alone, even when computed beside others', async () => {
    // Stands in for a device error: a forward with NaN among its samples fails.
    const read = Tensor.prototype.read;
    const reads = jest.spyOn(Tensor.prototype, 'read').mockImplementation(async function (this: Tensor) {
      const samples = await read.call(this);
      if (samples.some(Number.isNaN)) throw new WeightNormError('ERR_DEVICE_LOST', 'the device is gone');
      return samples;
    });
    try {
      const streams = Array.from({ length: 3 }, () => vocoder.stream());
      const starts = await Promise.all(streams.map((stream) => stream.push(frames(mel, 0, 40))));
      const spoilt = { data: new Float32Array(6 * 10).fill(Number.NaN), mels: 6, frames: 10 };
      const before = reads.mock.calls.length;
      const results = await Promise.allSettled(streams.map((stream, i) => stream.push(i === 1 ? spoilt : frames(mel, 40, 50))));
      expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
      expect(results[1]).toMatchObject({ reason: { code: 'ERR_DEVICE_LOST' } });
      // The three in one forward, then each by itself.
      expect(reads.mock.calls.length - before).toBe(4);
      await expect(streams[1]?.push(mel)).rejects.toMatchObject({ code: 'ERR_DEVICE_LOST', message: 'push: the device is gone' });
      for (const i of [0, 2]) {
        const stream = streams[i] as audio.Synthesizer;
        const middle = (results[i] as PromiseFulfilledResult<Float32Array>).value;
        expect(join([starts[i] as Float32Array, middle, await stream.push(frames(mel, 50, 60)), await stream.flush()])).toEqual(expected);
      }
    } finally {
      reads.mockRestore();
    }
  });

  test('a fault before the first samples ends only the stream at fault; abort and a wrong shape in that batch end only theirs', async () => {
    // No sample tells of this fault: what fails on the queue is an operation that cannot be carried out, and what depends on it.
    const { stream: forward, streamAgain } = addon;
    let [calls, faults] = [0, new Set([0, 2])];
    const extreme = { dilation: 2 ** 39, padding: 2 ** 38 };
    const poison = functional.narrow(functional.conv1d(cpu.ones([1, 1, 3]), cpu.ones([1, 1, 2]), undefined, extreme), 2, 0, 1);
    await expect(poison.read()).rejects.toThrow(/working memory/);
    const mark = addon.view(nativeOf(poison), [1]);
    const spoilt = (handle: NativeTensor | null) => handle && addon.arithmetic(0, handle, mark);
    const spoiltPush = (made: NativePush): NativePush => (faults.has(calls++) ? [spoilt(made[0]), spoilt(made[1]), made[2]] : made);
    addon.stream = (...call) => spoiltPush(forward(...call));
    addon.streamAgain = (...call) => {
      const made = streamAgain(...call);
      return made && spoiltPush(made);
    };
    try {
      const controller = new AbortController();
      const streams = [vocoder.stream(), vocoder.stream(), vocoder.stream({ signal: controller.signal }), vocoder.stream()] as const;
      const waiting = streams.map((stream) => stream.push(frames(mel, 0, 5)));
      const misshapen = streams[3].push({ data: new Float32Array(70), mels: 7, frames: 10 });
      await new Promise((resolve) => setImmediate(resolve));
      controller.abort();
      const results = await Promise.allSettled([...waiting, misshapen]);
      // The four in one forward; then each that is open by itself, of which the second fails again.
      expect(calls).toBe(4);
      expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled', 'rejected']);
      expect(results.slice(1)).toMatchObject([
        { reason: { message: expect.stringMatching(/working memory/) } },
        { reason: { code: 'ERR_ABORTED' } },
        { value: new Float32Array(0) },
        { reason: { code: 'ERR_SHAPE' } },
      ]);
      faults = new Set();
      for (const i of [0, 3] as const) expect(join([await streams[i].push(frames(mel, 5, 60)), await streams[i].flush()])).toEqual(expected);
      await expect(streams[1].push(mel)).rejects.toThrow(/push: .*working memory/);
    } finally {
      Object.assign(addon, { stream: forward, streamAgain });
    }
  });

  test('an aborted one is freed at once, and its pushes reject', async () => {
    const before = await heldTensors(cpu);
    const controller = new AbortController();
    const stream = vocoder.stream({ signal: controller.signal });
    await stream.push(frames(mel, 0, 20));
    expect(cpu.memory().tensors).toBeGreaterThan(before);
    const waiting = stream.push(frames(mel, 20, 30));
    controller.abort('enough');
    expect(cpu.memory().tensors).toBe(before);
    await expect(waiting).rejects.toMatchObject({ code: 'ERR_ABORTED', cause: 'enough' });
    await expect(stream.flush()).rejects.toMatchObject({ code: 'ERR_ABORTED', message: 'flush: the stream was aborted' });
    expect(() => vocoder.stream({ signal: controller.signal })).toThrow(/aborted/);
  });

  test('one that is aborted or disposed while it is computed beside others disturbs none of them', async () => {
    const controller = new AbortController();
    const streams = [vocoder.stream(), vocoder.stream({ signal: controller.signal }), vocoder.stream(), vocoder.stream()] as const;
    const starts = await Promise.all(streams.map((stream) => stream.push(frames(mel, 0, 30))));
    const waiting = streams.map((stream) => stream.push(frames(mel, 30, 45)));
    // The forward of all four is queued after this turn.
    await new Promise((resolve) => setImmediate(resolve));
    controller.abort();
    streams[2].dispose();
    const results = await Promise.allSettled(waiting);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled']);
    expect(results.slice(1, 3)).toMatchObject([{ reason: { code: 'ERR_ABORTED' } }, { reason: { code: 'ERR_DISPOSED' } }]);
    for (const i of [0, 3] as const) {
      const middle = (results[i] as PromiseFulfilledResult<Float32Array>).value;
      expect(join([starts[i] as Float32Array, middle, await streams[i].push(frames(mel, 45, 60)), await streams[i].flush()])).toEqual(expected);
    }
  });

  test('async iteration: any source, in order, and leaving the loop frees all', async () => {
    const collect = async (source: audio.MelSource, options = {}) => {
      const parts: Float32Array[] = [];
      for await (const samples of vocoder.synthesizeStream(source, options)) parts.push(samples);
      return { samples: join(parts), count: parts.length };
    };
    const whole = await collect(mel, { chunkFrames: 4 });
    expect(whole.samples).toEqual(expected);
    expect(whole.count).toBeGreaterThan(5);
    expect((await collect(cpu.tensor(mel.data, { shape: [6, 60] }))).samples).toEqual(expected);
    expect((await collect([frames(mel, 0, 3), frames(mel, 3, 60)])).samples).toEqual(expected);
    const before = await heldTensors(cpu);
    let [given, ended] = [0, false];
    const source = async function* () {
      try {
        for (; ; given++) yield frames(mel, given % 60, (given % 60) + 1);
      } finally {
        ended = true;
      }
    };
    let got = 0;
    for await (const samples of vocoder.synthesizeStream(source())) {
      got += samples.length;
      if (got > 40) break;
    }
    // Nothing is asked for before it is needed: a consumer that stops reading stops the producer.
    expect([ended, given < 60]).toEqual([true, true]);
    expect(cpu.memory().tensors).toBe(before);
    await expect(collect([frames(mel, 0, 3), { data: new Float32Array(7), mels: 7, frames: 1 }])).rejects.toMatchObject({ code: 'ERR_SHAPE' });
    await expect(collect(mel, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ERR_ABORTED' });
    expect(cpu.memory().tensors).toBe(before);
  });

  test('a TransformStream pipes, holds its producer back, and frees its state when it is cancelled', async () => {
    const parts: Float32Array[] = [];
    let given = 0;
    const source = (limit: number) =>
      new ReadableStream<audio.Mel>({
        pull(controller) {
          if (given === limit) controller.close();
          else controller.enqueue(frames(mel, given % 60, (given++ % 60) + 1));
        },
      });
    for await (const samples of source(60).pipeThrough(vocoder.transformStream())) parts.push(samples);
    expect(join(parts)).toEqual(expected);

    const before = await heldTensors(cpu);
    given = 0;
    const reader = source(10_000).pipeThrough(vocoder.transformStream()).getReader();
    await reader.read();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(given).toBeLessThan(60);
    await reader.cancel();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(cpu.memory().tensors).toBe(before);
  });

  test('a thousand streams, aborted half-way or forgotten, leave nothing behind', async () => {
    const script = `
      const cpu = W.Device.get('cpu');
      const vocoder = new W.audio.HifiGan(${JSON.stringify({ ...smallConfigs.V2, upsample_initial_channel: 4 })}, { device: cpu });
      const mel = { data: new Float32Array(6 * 30).fill(-2), mels: 6, frames: 30 };
      const signals = new AbortController();
      let events = 0;
      const round = async (count) => {
        for (let i = 0; i < count; i++) {
          const controller = new AbortController();
          const streams = [vocoder.stream({ signal: controller.signal }), vocoder.stream({ signal: signals.signal }), vocoder.stream({ signal: signals.signal })];
          await Promise.all(streams.map((stream) => stream.push(mel)));
          controller.abort();
          streams[1].dispose();
        }
      };
      const settle = async () => {
        for (let i = 0; i < 20; i++) { gc(); await new Promise((resolve) => setTimeout(resolve, 5)); }
        const { tensors, liveBytes } = cpu.memory();
        return { tensors, liveBytes, heap: process.memoryUsage().heapUsed };
      };
      await round(20);
      const before = await settle();
      await round(330);
      const after = await settle();
      console.log(JSON.stringify({ tensors: after.tensors - before.tensors, bytes: after.liveBytes - before.liveBytes, heap: after.heap - before.heap }));
    `;
    const { code, stdout, stderr } = await runNode(script, {}, ['--expose-gc']);
    expect([code, stderr]).toEqual([0, '']);
    const { tensors, bytes, heap } = JSON.parse(stdout);
    expect([tensors, bytes]).toEqual([0, 0]);
    // V8's own caches vary by some 100 KB; a kilobyte of each of the 990 streams would show.
    expect(heap).toBeLessThan(990_000);
  });

  test('those that wait do not hold on to what closed ones left', async () => {
    const one = vocoder.stream();
    await one.push(frames(mel, 0, 20));
    const alone = one.stateBytes;
    one.dispose();
    await cpu.synchronize();
    await collectGarbage();
    const before = cpu.memory().liveBytes;
    const streams = Array.from({ length: 8 }, () => vocoder.stream());
    await Promise.all(streams.map((stream) => stream.push(frames(mel, 0, 20))));
    expect(streams[0]?.stateBytes).toBe(alone);
    const full = cpu.memory().liveBytes - before;
    for (const stream of streams.slice(1)) stream.dispose();
    // The first copy is of those that were open then, the second of the last one.
    for (let copies = 0; copies < 2; copies++) {
      await cpu.synchronize();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(cpu.memory().liveBytes - before).toBeLessThan(full / 4);
    await streams[0]?.push(frames(mel, 20, 30));
    expect((await streams[0]?.flush())?.length).toBeGreaterThan(0);
  });

  test('a long utterance does not keep short ones waiting', async () => {
    const scheduler = new audio.StreamScheduler({ maxFrames: 8 });
    const order: string[] = [];
    const long = { data: values(6 * 400, 2), mels: 6, frames: 400 };
    const first = vocoder.stream({ scheduler });
    const pushes = [first.push(long).then(() => order.push('long'))];
    for (const name of ['a', 'b'])
      pushes.push(
        vocoder
          .stream({ scheduler })
          .push(frames(mel, 0, 20))
          .then(() => order.push(name)),
      );
    await Promise.all(pushes);
    expect(order[2]).toBe('long');
    first.dispose();
  });

  test('a scheduler waits for companions as long as it may, and no longer', async () => {
    const scheduler = new audio.StreamScheduler({ maxDelay: 40, maxBatch: 2 });
    const streams = Array.from({ length: 3 }, () => vocoder.stream({ scheduler }));
    const started = performance.now();
    const alone = streams[0]?.push(frames(mel, 0, 5));
    await alone;
    expect(performance.now() - started).toBeGreaterThanOrEqual(39);
    const again = performance.now();
    await Promise.all([streams[1]?.push(frames(mel, 0, 5)), streams[2]?.push(frames(mel, 0, 5))]);
    expect(performance.now() - again).toBeLessThan(39);
    expect(() => new audio.StreamScheduler({ maxDelay: -1 })).toThrow(/maxDelay is -1; it must be a number of milliseconds from 0/);
    expect(() => new audio.StreamScheduler({ maxBatch: 0 })).toThrow(/maxBatch is 0/);
  });
});
