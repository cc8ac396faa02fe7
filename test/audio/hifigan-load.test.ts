import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { audio, Device, io, nn, type Tensor } from 'weightnorm';
import { heldTensors } from '../support/collect';
import { safetensorsBytes, temporaryFolder } from '../support/files';

const folder = temporaryFolder();
const cpu = Device.get('cpu');
const config: audio.HifiGanConfig = {
  resblock: '2',
  num_mels: 4,
  upsample_rates: [4, 2],
  upsample_kernel_sizes: [8, 4],
  upsample_initial_channel: 8,
  resblock_kernel_sizes: [3],
  resblock_dilation_sizes: [[1, 2]],
};
const source = new audio.HifiGan(config, { device: cpu });
const mel = { data: new Float32Array(20).map((_, i) => Math.sin(i)), mels: 4, frames: 5 };

function directory(name: string, settings: unknown = config): string {
  const at = path.join(folder.path, name);
  mkdirSync(at, { recursive: true });
  if (settings !== null) folder.file(`${name}/config.json`, typeof settings === 'string' ? settings : JSON.stringify(settings));
  return at;
}

test.each(['weight_g', 'parametrizations', 'folded'] as const)('a checkpoint in the spelling %s, in two files and float16', async (naming) => {
  const at = directory(`spelling-${naming}`);
  const state = [...source.stateDict({ naming })];
  await io.saveSafetensors(path.join(at, 'model-1.safetensors'), new Map(state.slice(0, 9)));
  await io.saveSafetensors(path.join(at, 'model-2.safetensors'), new Map(state.slice(9)));
  const before = await heldTensors(cpu);
  const model = await audio.HifiGan.load(at, { device: cpu });
  // Nothing but the parameters stays.
  expect(cpu.memory().tensors - before).toBe(model.namedParameters().size);
  const [expected, actual] = [await source.synthesize(mel), await model.synthesize(mel)];
  expect(actual.reduce((worst, value, i) => Math.max(worst, Math.abs(value - (expected[i] as number))), 0)).toBeLessThan(1e-6);
  const half = await audio.HifiGan.load(at, { device: cpu, dtype: 'float16' });
  // g stays float32, as norms do.
  for (const [name, { dtype }] of half.namedParameters()) expect([name, dtype]).toEqual([name, name.endsWith('_g') ? 'float32' : 'float16']);
  expect((await half.synthesize(mel)).length).toBe(40);
});

test('a float16 checkpoint becomes a float32 model unless asked otherwise', async () => {
  const at = directory('half');
  const state = new Map([...source.stateDict()].map(([name, tensor]) => [name, tensor.to('float16')]));
  await io.saveSafetensors(path.join(at, 'm.safetensors'), state);
  const model = await audio.HifiGan.load(at, { device: cpu });
  expect((model.conv_pre.weight_v as Tensor).dtype).toBe('float32');
});

test('a checkpoint folded by foldCheckpoint loads', async () => {
  const at = directory('folded', readFileSync('examples/voice/config.json', 'utf8'));
  expect((await io.foldCheckpoint('examples/voice/generator.safetensors', path.join(at, 'g.safetensors'))).length).toBe(78);
  const [a, b] = [await audio.HifiGan.load(at, { device: cpu }), await audio.HifiGan.load('examples/voice', { device: cpu })];
  const speech = audio.melSpectrogram((await audio.readWav('examples/voice/sample-2.wav')).channels[0]?.subarray(0, 8000) as Float32Array, b.melConfig);
  const [x, y] = [await a.synthesize(speech), await b.synthesize(speech)];
  expect(x.reduce((worst, value, i) => Math.max(worst, Math.abs(value - (y[i] as number))), 0)).toBeLessThan(2e-5);
  expect(nn.foldWeightNorm(b).length).toBe(78);
});

describe('checkpoints of torch', () => {
  const golden = (name: string): string => path.join('test', 'golden', 'torch', name);
  const { mel: torchMel, samples } = JSON.parse(readFileSync(golden('vocoder.json'), 'utf8'));
  const spoken = async (given: string): Promise<void> => {
    const model = await audio.HifiGan.load(given, { device: cpu });
    const output = await model.synthesize({ data: Float32Array.from(torchMel.values), mels: 4, frames: 6 });
    expect(output.length).toBe(48);
    output.forEach((value, i) => expect(Math.abs(value - samples.values[i])).toBeLessThan(1e-6));
    model.dispose();
  };

  test("HiFi-GAN's own g_02500000 in the old format, the last of its folder", async () => {
    const at = directory('own');
    copyFileSync(golden('g_00000010'), path.join(at, 'g_00000010'));
    copyFileSync(golden('vocoder/g_02500000'), path.join(at, 'g_02500000'));
    copyFileSync(golden('do_00000010'), path.join(at, 'do_02500000'));
    await spoken(at);
  });

  test('a checkpoint with the discriminator in it, by its path', async () => {
    const at = directory('lightning');
    copyFileSync(golden('lightning.ckpt'), path.join(at, 'last.ckpt'));
    copyFileSync(golden('vocoder/g_02500000'), path.join(at, 'generator.pth'));
    await spoken(path.join(at, 'last.ckpt'));
    await spoken(path.join(at, 'generator.pth'));
    await expect(audio.HifiGan.load(at, { device: cpu })).rejects.toMatchObject({
      code: 'ERR_IO',
      message: `${at}: there are several checkpoints, "generator.pth", "last.ckpt"; give the path of one of them`,
    });
  });

  test('safetensors and npz by their paths', async () => {
    const at = directory('others');
    const file = path.join(at, 'g.safetensors');
    await io.convertCheckpoint(golden('lightning.ckpt'), file, { key: 'state_dict.generator' });
    await spoken(at);
    await spoken(file);
  });

  test('a checkpoint of two generators says so', async () => {
    const at = directory('twins');
    const state = [...(await io.loadTorch(golden('vocoder/g_02500000'), { device: cpu, key: 'generator' }))];
    await io.saveSafetensors(
      path.join(at, 'twins.safetensors'),
      new Map(['a', 'b'].flatMap((key) => state.map(([name, tensor]) => [`${key}.${name}`, tensor]))),
    );
    await expect(audio.HifiGan.load(path.join(at, 'twins.safetensors'), { device: cpu })).rejects.toMatchObject({
      code: 'ERR_KEYS',
      message: expect.stringMatching(/holds several generators, below the keys "a", "b"; write one of them to a file of its own/),
    });
  });
});

describe('a folder that is no model', () => {
  const refused = async (at: string, code: string, message: RegExp): Promise<void> => {
    const before = await heldTensors(cpu);
    const error = await audio.HifiGan.load(at, { device: cpu }).then(
      () => null,
      (reason) => reason,
    );
    expect(error).toMatchObject({ name: 'WeightNormError', code });
    expect(error.message).toMatch(message);
    expect(error.message.startsWith(at)).toBe(true);
    expect(cpu.memory().tensors).toBe(before);
  };

  test('missing', () => refused(path.join(folder.path, 'nowhere'), 'ERR_IO', /config\.json: cannot be opened: there is no such file/));
  test('without config.json', () => refused(directory('bare', null), 'ERR_IO', /config\.json: cannot be opened/));
  test('with a config that is not JSON', () => refused(directory('text', 'resblock = 1'), 'ERR_FORMAT', /config\.json: is not valid JSON/));
  test('with a config that repeats a key', () =>
    refused(directory('twice', '{"resblock": "1", "resblock": "2"}'), 'ERR_FORMAT', /config\.json: has the key "resblock" twice/));
  test('with a config that is no object', () => refused(directory('list', '[]'), 'ERR_FORMAT', /config\.json is \[\]; it must be an object/));
  test('with a bad key', () =>
    refused(directory('bad', { ...config, upsample_rates: 'fast' }), 'ERR_FORMAT', /config\.json: upsample_rates is "fast"; it must be a non-empty array/));
  test('without weights', () => refused(directory('empty'), 'ERR_IO', /there is no \*\.safetensors file/));

  test('with broken weights', async () => {
    const at = directory('broken');
    folder.file('broken/m.safetensors', safetensorsBytes({ x: { dtype: 'F32', shape: [2], data_offsets: [0, 8] } }, new Uint8Array(4)));
    await refused(at, 'ERR_FORMAT', /m\.safetensors: tensor "x": data_offsets/);
  });

  test('with one tensor in two files', async () => {
    const at = directory('double');
    await io.saveSafetensors(path.join(at, 'a.safetensors'), source.stateDict());
    copyFileSync(path.join(at, 'a.safetensors'), path.join(at, 'b.safetensors'));
    await refused(at, 'ERR_FORMAT', /b\.safetensors: tensor ".*" is also in another file/);
  });

  test('with weights of another model', async () => {
    const at = directory('other', { ...config, upsample_initial_channel: 16 });
    await io.saveSafetensors(path.join(at, 'a.safetensors'), source.stateDict());
    await refused(at, 'ERR_KEYS', /conv_pre/);
  });

  test('with missing and unexpected weights', async () => {
    const at = directory('partial');
    const state = source.stateDict();
    state.delete('conv_post.bias');
    state.set('discriminator.weight', cpu.ones([1]));
    await io.saveSafetensors(path.join(at, 'a.safetensors'), state);
    state.get('discriminator.weight')?.dispose();
    await refused(at, 'ERR_KEYS', /conv_post\.bias[\s\S]*discriminator\.weight/);
  });
});

test('melConfig names the key that the front end misses', () => {
  expect(() => source.melConfig).toThrow(/config\.json: sampling_rate is undefined; it must be an integer of at least 1/);
});
