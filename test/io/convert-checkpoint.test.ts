import { readFileSync, statSync } from 'node:fs';
import { Device, io, nn, type Tensor } from 'weightnorm';
import { temporaryFolder } from '../support/files';

const folder = temporaryFolder();
const cpu = Device.get('cpu');
const golden = (name: string): string => `test/golden/torch/${name}`;

async function valuesOf(tensors: Map<string, Tensor>): Promise<Record<string, unknown>> {
  const entries = await Promise.all(
    [...tensors].map(async ([name, tensor]) => [name, [tensor.dtype, [...tensor.shape], [...(await tensor.readRaw())]]] as const),
  );
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** What a file's header says, by an independent reading. */
function headerOf(file: string): Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }> {
  const bytes = readFileSync(file);
  return JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE())).toString());
}

test.each(['everything.pth', 'legacy.pth'])('%s becomes safetensors with the same tensors, integers and all, aligned', async (name) => {
  const output = folder.file(`${name}.safetensors`);
  const { tensors, folded } = await io.convertCheckpoint(golden(name), output);
  const expected: Record<string, { shape: number[] }> = JSON.parse(readFileSync(golden(`${name}.json`), 'utf8').replace(/\b(NaN|Infinity)\b/g, '0'));
  expect([...tensors].sort()).toEqual(Object.keys(expected).sort());
  expect(folded).toEqual([]);
  const [before, after] = [await io.loadTorch(golden(name), { device: cpu }), await io.loadSafetensors(output, { device: cpu })];
  expect(await valuesOf(after)).toEqual(await valuesOf(before));
  const header = headerOf(output);
  expect(header['dtypes.int64']).toMatchObject({ dtype: 'I64', shape: [5] });
  expect(header['dtypes.complex']?.dtype).toBe('C64');
  expect(header['views.empty']).toMatchObject({ dtype: 'F32', shape: [0, 3] });
  const data = readFileSync(output);
  const start = 8 + Number(data.readBigUInt64LE());
  const [begin, end] = (header['dtypes.int64'] as { data_offsets: [number, number] }).data_offsets;
  expect([...new BigInt64Array(Uint8Array.from(data.subarray(start + begin, start + end)).buffer)]).toEqual([0n, 1n, 2n, 3n, 4n]);
  for (const [tensor, { dtype, data_offsets }] of Object.entries(header))
    expect([tensor, (data_offsets[0] as number) % Math.max(1, Number(/\d+$/.exec(dtype)?.[0] ?? 8) / 8)]).toEqual([tensor, 0]);
});

test('an archive of NumPy becomes safetensors', async () => {
  const output = folder.file('arrays.safetensors');
  await io.convertCheckpoint(golden('compressed.npz'), output);
  expect(await valuesOf(await io.loadSafetensors(output, { device: cpu }))).toEqual(await valuesOf(await io.loadNpz(golden('arrays.npz'), { device: cpu })));
});

test('a part, folded: what foldWeightNorm gives', async () => {
  const output = folder.file('folded.safetensors');
  const progress: number[] = [];
  const { tensors, folded } = await io.convertCheckpoint(golden('g_00000010'), output, {
    key: 'generator',
    fold: true,
    onProgress: (fraction) => progress.push(fraction),
  });
  expect(folded.sort()).toEqual(['0', '2']);
  expect([...tensors].sort()).toEqual(['0.bias', '0.weight', '2.bias', '2.weight']);
  expect(progress.at(-1)).toBe(1);
  const model = modelOf();
  model.loadStateDict(await io.loadTorch(golden('g_00000010'), { device: cpu, key: 'generator' }));
  expect(await valuesOf(await io.loadSafetensors(output, { device: cpu }))).toEqual(await valuesOf(model.stateDict({ naming: 'folded' })));
});

function modelOf(layout: nn.Layout = 'torch'): nn.Sequential {
  const options = { device: cpu, layout };
  return new nn.Sequential(
    new nn.WeightNormConv1d(3, 4, 3, { ...options, padding: 1 }),
    new nn.LeakyReLU(0.1),
    new nn.WeightNormConvTranspose1d(4, 2, 4, { ...options, stride: 2, padding: 1, groups: 2 }),
  );
}

test.each(['weight_g', 'parametrizations', 'folded'] as const)(
  "layout 'mlx' of %s is what stateDict gives, grouped transposed convolutions too",
  async (naming) => {
    const model = modelOf();
    model.loadStateDict(await io.loadTorch(golden('g_00000010'), { device: cpu, key: 'generator' }));
    const input = folder.file(`${naming}.torch.safetensors`);
    const output = folder.file(`${naming}.mlx.safetensors`);
    await io.saveSafetensors(input, model.stateDict({ naming }));
    await io.convertCheckpoint(input, output, { layout: 'mlx', transposed: { '2': 2 } });
    const converted = await io.loadSafetensors(output, { device: cpu });
    expect(await valuesOf(converted)).toEqual(await valuesOf(model.stateDict({ naming, layout: 'mlx' })));
    const mlx = modelOf('mlx');
    mlx.loadStateDict(converted, { layout: 'mlx' });
    const x = cpu.randn([1, 7, 3], { seed: 5 });
    const [expected, actual] = [
      await model
        .forward(x.transpose([0, 2, 1]))
        .transpose([0, 2, 1])
        .read(),
      await mlx.forward(x).read(),
    ];
    actual.forEach((value, i) => expect(Math.abs(value - (expected[i] as number))).toBeLessThan(1e-6));
  },
);

test('two dimensions, patterns, and weights that are no convolutions', async () => {
  const input = folder.file('plain.safetensors');
  const output = folder.file('plain.mlx.safetensors');
  const state = new Map([
    ['up.0.conv.weight', cpu.randn([2, 3, 4, 5], { seed: 1 })],
    ['up.0.norm.alpha', cpu.randn([1, 3, 1], { seed: 2 })],
    ['down.weight', cpu.randn([2, 3, 4, 5], { seed: 3 })],
    ['head.weight', cpu.randn([2, 3], { seed: 4 })],
  ]);
  await io.saveSafetensors(input, state);
  await io.convertCheckpoint(input, output, { layout: 'mlx', transposed: { 'up.*.conv': 1 } });
  const get = (name: string): Tensor => state.get(name) as Tensor;
  const expected = new Map([
    ['up.0.conv.weight', get('up.0.conv.weight').transpose([1, 2, 3, 0])],
    ['up.0.norm.alpha', get('up.0.norm.alpha')],
    ['down.weight', get('down.weight').transpose([0, 2, 3, 1])],
    ['head.weight', get('head.weight')],
  ]);
  expect(await valuesOf(await io.loadSafetensors(output, { device: cpu }))).toEqual(await valuesOf(expected));
});

test.each<[string, io.ConvertOptions, string, RegExp]>([
  ['mlx without transposed', { layout: 'mlx' }, 'ERR_ARGUMENT', /transposed is undefined; layout 'mlx' needs the transposed convolutions/],
  ['another layout', { layout: 'tf' as never }, 'ERR_ARGUMENT', /layout is "tf"/],
  ['a pattern of nothing', { layout: 'mlx', transposed: { 'generator.7': 1 } }, 'ERR_KEYS', /transposed names "generator\.7", which is no layer/],
  ['0 groups', { layout: 'mlx', transposed: { 'generator.2': 0 } }, 'ERR_ARGUMENT', /transposed\["generator\.2"\] is 0; it must be a number of groups/],
  ['groups that do not divide', { layout: 'mlx', transposed: { 'generator.2': 3 } }, 'ERR_SHAPE', /has 4 input channels, which 3 groups do not divide/],
  ['a key of nothing', { key: 'discriminator' }, 'ERR_KEYS', /has no tensors below the key "discriminator"/],
])('%s is refused, and nothing is written', async (_, options, code, message) => {
  const output = folder.file('never.safetensors');
  await expect(io.convertCheckpoint(golden('g_00000010'), output, options)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  expect(folder.list()).not.toContain('never.safetensors');
});

test('aborting leaves nothing behind', async () => {
  const output = folder.file('aborted.safetensors');
  const abort = new AbortController();
  const written = io.convertCheckpoint(golden('everything.pth'), output, { signal: abort.signal, onProgress: () => abort.abort('enough') });
  await expect(written).rejects.toMatchObject({ code: 'ERR_ABORTED', cause: 'enough' });
  expect(folder.list().filter((name) => name.includes('aborted') || name.startsWith('.'))).toEqual([]);
});

test('a checkpoint may replace itself', async () => {
  const file = folder.file('self.pth', readFileSync(golden('g_00000010')));
  await io.convertCheckpoint(file, file, { key: 'generator' });
  expect((await io.loadSafetensors(file, { device: cpu })).size).toBe(6);
  expect(statSync(file).size).toBeLessThan(2000);
});
