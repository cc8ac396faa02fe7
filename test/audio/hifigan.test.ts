import { audio, Device, nn, scope, type Tensor } from 'weightnorm';
import { runNode } from '../support/child';
import { heldTensors } from '../support/collect';
import { expectError } from '../support/errors';
import { type GoldenTensor, readGolden } from '../support/golden';
import { hifiganReference, randomState } from '../support/hifigan-reference';
import { values } from '../support/random';

const cpu = Device.get('cpu');

/** The official configurations. */
const v1: audio.HifiGanConfig = {
  resblock: '1',
  upsample_rates: [8, 8, 2, 2],
  upsample_kernel_sizes: [16, 16, 4, 4],
  upsample_initial_channel: 512,
  resblock_kernel_sizes: [3, 7, 11],
  resblock_dilation_sizes: [
    [1, 3, 5],
    [1, 3, 5],
    [1, 3, 5],
  ],
};
const v2: audio.HifiGanConfig = { ...v1, upsample_initial_channel: 128 };
const v3: audio.HifiGanConfig = {
  resblock: '2',
  upsample_rates: [8, 8, 4],
  upsample_kernel_sizes: [16, 16, 8],
  upsample_initial_channel: 256,
  resblock_kernel_sizes: [3, 5, 7],
  resblock_dilation_sizes: [
    [1, 2],
    [2, 6],
    [3, 12],
  ],
};
/** Nothing is a power of two, counts differ, one kernel and its rate differ by an odd number, and an even kernel has an even dilation. */
const odd: audio.HifiGanConfig = {
  resblock: '2',
  num_mels: 13,
  upsample_rates: [5, 3],
  upsample_kernel_sizes: [10, 7],
  upsample_initial_channel: 27,
  resblock_kernel_sizes: [5, 4],
  resblock_dilation_sizes: [[1, 2, 4], [2]],
};

function randomModel(config: audio.HifiGanConfig, seed: number): { model: audio.HifiGan; state: ReturnType<typeof randomState> } {
  const state = randomState(config, seed);
  const model = new audio.HifiGan(config, { device: cpu, init: 'zeros' });
  scope(() => model.loadStateDict(new Map([...state].map(([name, { shape, data }]) => [name, cpu.tensor(data, { shape })]))));
  return { model, state };
}

const rows = (data: Float32Array, count: number): Float64Array[] =>
  Array.from({ length: count }, (_, i) => Float64Array.from(data.subarray((i * data.length) / count, ((i + 1) * data.length) / count)));

function relativeError(actual: Float32Array, expected: ArrayLike<number>): number {
  let [error, norm] = [0, 0];
  actual.forEach((value, i) => {
    error += (value - (expected[i] as number)) ** 2;
    norm += (expected[i] as number) ** 2;
  });
  return Math.sqrt(error / norm);
}

describe("the bundled voice against torch's output", () => {
  const golden = readGolden('vocoder.safetensors');
  const names = [...golden.keys()].filter((key) => key.endsWith('.mel')).map((key) => key.slice(0, -4));
  const of = (key: string) => golden.get(key) as GoldenTensor;
  let model: audio.HifiGan;
  beforeAll(async () => {
    model = await audio.HifiGan.load('examples/voice', { device: cpu });
  });
  afterAll(() => model.dispose());

  test.each(names)('%s: max abs error at most 2e-5, normed and folded', async (name) => {
    const { shape, data } = of(`${name}.mel`);
    const mel = { data: Float32Array.from(data), mels: shape[0] as number, frames: shape[1] as number };
    const expected = of(`${name}.out`).data;
    const samples = await model.synthesize(mel);
    expect(samples.length).toBe(expected.length);
    const worst = samples.reduce((most, value, i) => Math.max(most, Math.abs(value - (expected[i] as number))), 0);
    expect(worst).toBeLessThanOrEqual(2e-5);
  });

  test('folding its weights changes nothing beyond rounding', async () => {
    const name = names[0] as string;
    const { shape, data } = of(`${name}.mel`);
    const folded = await audio.HifiGan.load('examples/voice', { device: cpu });
    expect(nn.foldWeightNorm(folded).length).toBe(78);
    const mel = { data: Float32Array.from(data), mels: shape[0] as number, frames: shape[1] as number };
    const samples = await folded.synthesize(mel);
    expect(samples.reduce((most, value, i) => Math.max(most, Math.abs(value - (of(`${name}.out`).data[i] as number))), 0)).toBeLessThanOrEqual(2e-5);
    folded.dispose();
  });
});

test.each<[string, audio.HifiGanConfig, number]>([
  ['V1', v1, 2],
  ['V2', v2, 6],
  ['V3', v3, 6],
  ['an unusual config', odd, 9],
])('%s computes what the plain generator computes in float64', async (_, config, frames) => {
  const { model, state } = randomModel(config, 11);
  expect([...model.namedParameters().keys()].sort()).toEqual([...state.keys()].sort());
  const mels = config.num_mels ?? 80;
  const data = values(mels * frames, 5, 'float32', 2);
  const hop = config.upsample_rates.reduce((product, rate) => product * rate, 1);
  const expected = hifiganReference(config, state, rows(data, mels));
  const samples = await model.synthesize({ data, mels, frames });
  expect(samples.length).toBe(frames * hop);
  expect(relativeError(samples, expected)).toBeLessThan(3e-6);
  model.dispose();
});

describe('a small generator', () => {
  const config: audio.HifiGanConfig = { ...v2, num_mels: 6, upsample_rates: [4, 2], upsample_kernel_sizes: [8, 4], upsample_initial_channel: 16 };
  const { model, state } = randomModel(config, 3);
  const frames = 10;
  const data = values(6 * frames, 8);

  test('a batch gives the same bits as its items alone', async () => {
    const both = new Float32Array(2 * data.length);
    both.set(data);
    both.set(values(data.length, 9), data.length);
    const y = await model.forward(cpu.tensor(both, { shape: [2, 6, frames] })).read();
    for (const i of [0, 1]) {
      const alone = await model.synthesize({ data: both.slice(i * data.length, (i + 1) * data.length), mels: 6, frames });
      expect(relativeError(y.slice((i * y.length) / 2, ((i + 1) * y.length) / 2), alone)).toBeLessThan(1e-6);
    }
  });

  test('every kind of mel gives the same samples', async () => {
    const expected = await model.synthesize({ data, mels: 6, frames });
    expect(await model.synthesize(cpu.tensor(data, { shape: [6, frames] }))).toEqual(expected);
    expect(await model.synthesize(cpu.tensor(data, { shape: [1, 6, frames] }))).toEqual(expected);
    expect(relativeError(expected, hifiganReference(config, state, rows(data, 6)))).toBeLessThan(1e-5);
  });

  test('forward leaves only its result, and a failed one nothing', () => {
    const mel = cpu.tensor(data, { shape: [1, 6, frames] });
    model.forward(mel).dispose();
    const before = cpu.memory().tensors;
    const y = model.forward(mel);
    expect(y.shape).toEqual([1, 1, frames * 8]);
    expect(cpu.memory().tensors).toBe(before + 1);
    y.dispose();
    const broken = (model.resblocks[5] as audio.ResBlock1).convs2[2] as nn.WeightNormConv1d;
    const { bias } = broken;
    broken.bias = cpu.ones([3]);
    expectError(() => model.forward(mel), 'ERR_SHAPE', /bias/);
    (broken.bias as Tensor).dispose();
    broken.bias = bias;
    expect(cpu.memory().tensors).toBe(before);
    model.forward(mel).dispose();
    mel.dispose();
  });

  test('a half-precision model takes and gives half precision', async () => {
    for (const dtype of ['float16', 'bfloat16'] as const) {
      const half = randomModel(config, 3).model.to(dtype);
      const expected = await model.synthesize({ data, mels: 6, frames });
      expect(relativeError(await half.synthesize({ data, mels: 6, frames }), expected)).toBeLessThan(dtype === 'float16' ? 0.01 : 0.08);
      half.dispose();
    }
  });

  test('progress rises to 1, step by step', async () => {
    const fractions: number[] = [];
    await model.synthesize({ data, mels: 6, frames }, { onProgress: (fraction) => fractions.push(fraction) });
    // The first convolution, two stages of a transposed convolution and three blocks, and the end.
    expect(fractions.length).toBe(1 + 2 * 4 + 1);
    expect([...fractions].sort((a, b) => a - b)).toEqual(fractions);
    expect(fractions[8]).toBeLessThan(1);
    expect(fractions[9]).toBe(1);
  });

  test('synthesize hands over one convolution a turn of the event loop, and an abort in between frees what there is', async () => {
    const convolutions = [...model.namedModules().values()].filter(
      (module) => module instanceof nn.WeightNormConv1d || module instanceof nn.WeightNormConvTranspose1d,
    );
    let turns = 0;
    let running = true;
    const turn = (): void => {
      turns++;
      if (running) setImmediate(turn);
    };
    const last = jest.spyOn(model.conv_post, 'fused');
    try {
      let turnsBefore = 0;
      last.mockImplementationOnce((x, fusion) => {
        turnsBefore = turns;
        return nn.WeightNormConv1d.prototype.fused.call(model.conv_post, x, fusion);
      });
      setImmediate(turn);
      await model.synthesize({ data, mels: 6, frames });
      running = false;
      expect(turnsBefore).toBeGreaterThanOrEqual(convolutions.length - 2);

      last.mockClear();
      const before = await heldTensors(cpu);
      const controller = new AbortController();
      const aborted = model.synthesize({ data, mels: 6, frames }, { signal: controller.signal });
      setImmediate(() => setImmediate(() => controller.abort()));
      await expect(aborted).rejects.toMatchObject({ code: 'ERR_ABORTED' });
      expect(last).not.toHaveBeenCalled();
      expect(cpu.memory().tensors).toBe(before);
    } finally {
      running = false;
      last.mockRestore();
    }
  });

  test('synthesize outlives a scope around its call', async () => {
    const expected = await model.synthesize({ data, mels: 6, frames });
    const before = await heldTensors(cpu);
    let running: Promise<Float32Array> | undefined;
    scope(() => {
      running = model.synthesize({ data, mels: 6, frames });
    });
    expect(await running).toEqual(expected);
    expect(cpu.memory().tensors).toBe(before);
  });

  test('a mel longer than the queue may be is synthesised all the same, and its memory is given back', async () => {
    // 36 convolutions of 3.2 million values each: more than the limit set below.
    const script = `
      const cpu = W.Device.get('cpu');
      const model = new W.audio.HifiGan(${JSON.stringify(config)}, { device: cpu });
      const frames = 100000;
      const data = Float32Array.from({ length: 6 * frames }, (_, i) => Math.sin(i));
      const end = Float32Array.from({ length: 6 * 600 }, (_, i) => data[Math.floor(i / 600) * frames + frames - 600 + (i % 600)]);
      const memory = [];
      let worst = 0;
      // The first run leaves packed weights and scales behind.
      for (let run = 0; run < 2; run++) {
        const samples = await model.synthesize({ data, mels: 6, frames });
        const tail = await model.synthesize({ data: end, mels: 6, frames: 600 });
        for (let i = 1; i <= 2400; i++) worst = Math.max(worst, Math.abs(samples[samples.length - i] - tail[tail.length - i]));
        await cpu.synchronize();
        memory.push(cpu.memory());
      }
      let refused = null;
      try { model.forward(cpu.zeros([1, 6, frames])); } catch (error) { refused = error.code; }
      console.log(JSON.stringify({ worst, tensors: memory[1].tensors - memory[0].tensors, live: memory[1].liveBytes - memory[0].liveBytes, refused }));
    `;
    const { code, stdout, stderr } = await runNode(script, { WEIGHTNORM_QUEUE_LIMIT: String(400 * 2 ** 20) });
    expect([code, stderr]).toEqual([0, '']);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ tensors: 0, live: 0, refused: 'ERR_MEMORY' });
    expect(report.worst).toBeLessThan(1e-6);
  });

  test('an aborted synthesis rejects with ERR_ABORTED, before and while it runs', async () => {
    await expect(model.synthesize({ data, mels: 6, frames }, { signal: AbortSignal.abort('why') })).rejects.toMatchObject({
      code: 'ERR_ABORTED',
      cause: 'why',
    });
    const controller = new AbortController();
    const long = values(6 * 4000, 1);
    const running = model.synthesize({ data: long, mels: 6, frames: 4000 }, { signal: controller.signal });
    controller.abort();
    await expect(running).rejects.toMatchObject({ code: 'ERR_ABORTED', message: 'synthesis was aborted' });
    expect(await model.synthesize({ data, mels: 6, frames }, { signal: new AbortController().signal })).toHaveLength(frames * 8);
  });

  test.each<[string, () => Tensor | audio.Mel, string, RegExp]>([
    ['a wrong number of bands', () => ({ data: new Float32Array(70), mels: 7, frames: 10 }), 'ERR_SHAPE', /mel has 7 bands; this model takes 6/],
    [
      'a tensor with a wrong number of bands',
      () => cpu.zeros([7, 10]),
      'ERR_SHAPE',
      /mel has shape \[1, 7, 10\]; it must be \[N, 6, frames\]: this model takes 6 mel bands/,
    ],
    ['a batch of two', () => cpu.zeros([2, 6, 10]), 'ERR_SHAPE', /mel has shape \[2, 6, 10\]; it must be \[6, frames\] or \[1, 6, frames\]/],
    [
      'too few values',
      () => ({ data: new Float32Array(59), mels: 6, frames: 10 }),
      'ERR_SHAPE',
      /mel has 59 values and 10 frames; 6 bands need 6 values for each/,
    ],
    ['no frames', () => ({ data: new Float32Array(0), mels: 6, frames: 0 }), 'ERR_SHAPE', /mel has 0 values and 0 frames/],
    ['nothing', () => undefined as never, 'ERR_ARGUMENT', /mel is undefined; it must be a Tensor or \{ data, mels, frames \}/],
    ['another dtype', () => cpu.zeros([6, 10], 'float16'), 'ERR_DTYPE', /mel is float16; the model is float32/],
    [
      'a disposed tensor',
      () => {
        const mel = cpu.zeros([1, 6, 10]);
        mel.dispose();
        return mel;
      },
      'ERR_DISPOSED',
      /mel was disposed/,
    ],
  ])('%s is refused', async (_, mel, code, message) => {
    await expect(model.synthesize(mel())).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });
});

test.each<[string, Record<string, unknown>, RegExp]>([
  ['an unknown residual block', { resblock: '3' }, /config: resblock is "3"; it must be "1" or "2"/],
  ['no rates', { upsample_rates: [] }, /upsample_rates is \[\]; it must be a non-empty array/],
  ['a fractional rate', { upsample_rates: [8, 8, 2, 2.5] }, /upsample_rates is \[8, 8, 2, 2.5\]/],
  ['too few kernels', { upsample_kernel_sizes: [16, 16, 4] }, /upsample_kernel_sizes is \[16, 16, 4\]; it must be one number for each of the 4 upsample_rates/],
  [
    'a kernel smaller than its rate',
    { upsample_kernel_sizes: [16, 4, 4, 4] },
    /upsample_kernel_sizes is \[16, 4, 4, 4\]; it must be at least the upsample_rates/,
  ],
  ['channels that cannot be halved', { upsample_initial_channel: 15 }, /upsample_initial_channel is 15; it must be an integer of at least 16/],
  ['an even kernel', { resblock_kernel_sizes: [3, 6, 11] }, /resblock_kernel_sizes is \[3, 6, 11\]; it must be odd/],
  ['too few dilations', { resblock_dilation_sizes: [[1, 3, 5]] }, /resblock_dilation_sizes is .*for each of the 3 resblock_kernel_sizes/],
  ['an empty list of dilations', { resblock_dilation_sizes: [[1], [], [1]] }, /resblock_dilation_sizes is/],
  ['a hop that is not the product of the rates', { hop_size: 300 }, /hop_size is 300; it must be the product of upsample_rates, 256/],
  ['no mel bands', { num_mels: 0 }, /num_mels is 0/],
])('a config with %s is an ERR_FORMAT that names the key', (_, changes, message) => {
  expectError(() => new audio.HifiGan({ ...v2, ...changes } as audio.HifiGanConfig, { device: cpu }), 'ERR_FORMAT', message);
});
