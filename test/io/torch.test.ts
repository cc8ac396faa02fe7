import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { Device, io, nn, type Tensor } from 'weightnorm';
import { temporaryFolder } from '../support/files';
import { op, pickle, tensorOp, torchBytes, type WrittenTensor } from '../support/torch-writer';
import { zipBytes } from '../support/zip-writer';

const folder = temporaryFolder();
const cpu = Device.get('cpu');
const golden = (name: string): string => `test/golden/torch/${name}`;

interface Described {
  shape: number[];
  dtype: string;
  values: number[];
}

const described = (name: string): Record<string, Described> =>
  JSON.parse(readFileSync(golden(`${name}.json`), 'utf8').replace(/\b(NaN|-?Infinity)\b/g, '"$1"'));
const floats = new Map([
  ['float32', 'float32'],
  ['float16', 'float16'],
  ['bfloat16', 'bfloat16'],
  ['float64', 'float32'],
]);

/** What torch says of its own file, tensor by tensor and value by value. */
async function expectAsTorch(loaded: Map<string, Tensor> & { skipped: string[] }, expected: Record<string, Described>): Promise<void> {
  const held = Object.entries(expected).filter(([, { dtype, shape }]) => floats.has(dtype) && !shape.includes(0));
  expect([...loaded.keys()].sort()).toEqual(held.map(([name]) => name).sort());
  expect([...loaded.skipped].sort()).toEqual(
    Object.keys(expected)
      .filter((name) => !loaded.has(name))
      .sort(),
  );
  for (const [name, { shape, dtype, values }] of held) {
    const tensor = loaded.get(name) as Tensor;
    expect([name, tensor.shape, tensor.dtype]).toEqual([name, shape, floats.get(dtype)]);
    expect([name, ...(await tensor.read())]).toEqual([name, ...values.map((value) => Math.fround(Number(value)))]);
  }
}

describe('files that torch wrote', () => {
  test.each(['everything.pth', 'legacy.pth', 'attributes.pt', 'tensor.pt', 'g_00000010'])('%s: every view and dtype as torch shows it', async (name) => {
    await expectAsTorch(await io.loadTorch(golden(name), { device: cpu }), described(name));
  });

  test.each([2, 3, 4, 5])('pickle protocol %i', async (protocol) => {
    await expectAsTorch(await io.loadTorch(golden(`everything-${protocol}.pt`), { device: cpu }), described('everything.pth'));
  });

  test.each(['everything.pth', 'legacy.pth', 'everything-5.pt'])('%s: numbers, text and lists beside the tensors', async (name) => {
    const { extras } = await io.loadTorch(golden(name), { device: cpu });
    expect(Object.fromEntries(extras)).toEqual({
      'list.1.1': 'text',
      epoch: 12,
      big: 2n ** 80n,
      rate: 1e-4,
      name: 'größe',
      flags: [true, false, null],
      size: [2, 3],
      bytes: Uint8Array.of(0, 255),
      dtype: 'torch.float16',
      device: 'cpu',
      betas: [0.8, 0.99],
      names: ['a'],
      nothing: new Uint8Array(0),
    });
  });

  test('an optimiser', async () => {
    const loaded = await io.loadTorch(golden('do_00000010'), { device: cpu });
    expect(loaded.extras.get('steps')).toBe(10);
    expect(loaded.extras.get('optim_g.param_groups.0.betas')).toEqual([0.8, 0.99]);
    expect(loaded.get('optim_g.state.2.exp_avg')?.shape).toEqual([4, 3, 3]);
  });

  test('a dtype for all of them', async () => {
    const loaded = await io.loadTorch(golden('g_00000010'), { device: cpu, dtype: 'bfloat16', key: 'generator' });
    expect([...loaded.values()].map(({ dtype }) => dtype)).toEqual(new Array(6).fill('bfloat16'));
  });

  test('a state dict below a key computes what the module computed in torch', async () => {
    const state = await io.loadTorch(golden('g_00000010'), { device: cpu, key: 'generator' });
    const model = new nn.Sequential(
      new nn.WeightNormConv1d(3, 4, 3, { padding: 1, device: cpu }),
      new nn.LeakyReLU(0.1),
      new nn.WeightNormConvTranspose1d(4, 2, 4, { stride: 2, padding: 1, groups: 2, device: cpu }),
    );
    model.loadStateDict(state);
    const { x, y } = described('g_00000010.io') as { x: Described; y: Described };
    const output = await model.forward(cpu.tensor(Float32Array.from(x.values), { shape: x.shape })).read();
    expect(output.length).toBe(y.values.length);
    output.forEach((value, i) => expect(Math.abs(value - (y.values[i] as number))).toBeLessThan(1e-6));
  });

  test('TorchScript is refused', async () => {
    await expect(io.loadTorch(golden('script.pt'))).rejects.toMatchObject({ code: 'ERR_FORMAT', message: expect.stringMatching(/is a TorchScript archive/) });
  });
});

describe('picking a part', () => {
  test('a key that nothing is below says what there is', async () => {
    await expect(io.loadTorch(golden('g_00000010'), { device: cpu, key: 'state_dict' })).rejects.toMatchObject({
      code: 'ERR_KEYS',
      message: `${golden('g_00000010')}: has no tensors below the key "state_dict"; its tensors begin with "generator"`,
    });
  });

  test('a nested key; the values below it, too', async () => {
    const loaded = await io.loadTorch(golden('everything.pth'), { device: cpu, key: 'list.1' });
    expect([...loaded.keys()]).toEqual(['0']);
    expect([...loaded.extras]).toEqual([['1', 'text']]);
  });

  test.each([[''], [3], [null]])('the key %p is refused', async (key) => {
    await expect(io.loadTorch(golden('g_00000010'), { key: key as never })).rejects.toMatchObject({ code: 'ERR_ARGUMENT' });
  });

  test('storages of other parts are not read: damage there does not matter', async () => {
    const bytes = readFileSync(golden('everything.pth'));
    const at = bytes.indexOf(Buffer.from(Float64Array.from((described('everything.pth')['dtypes.double'] as Described).values).buffer));
    expect(at).toBeGreaterThan(0);
    bytes[at + 3] = (bytes[at + 3] as number) ^ 1;
    const file = folder.file('damaged.pth', bytes);
    expect((await io.loadTorch(file, { device: cpu, key: 'views' })).size).toBe(10);
    await expect(io.loadTorch(file, { device: cpu })).rejects.toMatchObject({ code: 'ERR_FORMAT', message: expect.stringMatching(/is damaged: its CRC-32/) });
  });
});

test.each([
  ['a torch file', golden('tensor.pt'), 'loadSafetensors', /is a torch file \(io\.loadTorch reads it\), not a safetensors file/],
  ['a NumPy archive', golden('arrays.npz'), 'loadTorch', /is a NumPy archive \(io\.loadNpz reads it\), not a torch file/],
  ['a safetensors file', 'test/golden/torch.safetensors', 'loadTorch', /is a safetensors file \(io\.loadSafetensors reads it\), not a torch file/],
  ['text', 'package.json', 'loadTorch', /is not a torch file: it begins with 7b0a/],
  ['a zip archive of something else', 'other.zip', 'loadTorch', /is a zip archive without tensors/],
] as const)('%s given to io.%s', async (_, name, loader, message) => {
  const file = name === 'other.zip' ? folder.file(name, zipBytes([{ name: 'a.txt', data: Buffer.from('a') }])) : name;
  await expect(io[loader](file, { device: cpu })).rejects.toMatchObject({ code: 'ERR_FORMAT', message: expect.stringMatching(message) });
});

/** A view of a storage as a torch user could make one: any permutation, steps, repeats, from anywhere. */
const view = fc
  .record({
    shape: fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 4 }),
    gaps: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 4, maxLength: 4 }),
    order: fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4, maxLength: 4 }),
    start: fc.integer({ min: 0, max: 5 }),
    spare: fc.integer({ min: 0, max: 3 }),
    type: fc.constantFrom(['FloatStorage', 4], ['DoubleStorage', 8], ['HalfStorage', 2], ['BFloat16Storage', 2]),
    seed: fc.integer({ min: 1, max: 2 ** 30 }),
  })
  .map(({ shape, gaps, order, start, spare, type, seed }) => {
    const strides = new Array<number>(shape.length).fill(0);
    let stride = 1;
    for (const axis of order.filter((item) => item < shape.length)) {
      // A gap of 0 repeats, as expand() does.
      const gap = gaps[axis] as number;
      strides[axis] = gap === 0 ? 0 : stride * gap;
      if (gap > 0) stride = strides[axis] * (shape[axis] as number);
    }
    const last = shape.reduce((sum, dim, axis) => sum + (dim - 1) * (strides[axis] as number), start);
    return { shape, strides, start, elements: last + 1 + spare, type: type[0] as string, itemBytes: type[1] as number, seed };
  });

type View = ReturnType<typeof view extends fc.Arbitrary<infer T> ? () => T : never>;

/** Small integers, exact in every dtype. */
function storageOf({ elements, type, seed }: View, big: boolean): { bytes: Buffer; values: number[] } {
  const values = Array.from({ length: elements }, (_, i) => ((seed * (i + 1)) % 127) - 63);
  const parts = values.map((value) => {
    const item = Buffer.alloc(type === 'DoubleStorage' ? 8 : type === 'FloatStorage' ? 4 : 2);
    if (type === 'DoubleStorage') item.writeDoubleLE(value);
    else if (type === 'FloatStorage') item.writeFloatLE(value);
    else if (type === 'BFloat16Storage') item.writeUInt16LE((new Uint32Array(Float32Array.of(value).buffer)[0] as number) >>> 16);
    else item.writeUInt16LE(halfBits(value));
    return big ? item.reverse() : item;
  });
  return { bytes: Buffer.concat(parts), values };
}

/** float16 bits of an integer below 2048. */
function halfBits(value: number): number {
  const sign = value < 0 ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (magnitude === 0) return 0;
  const exponent = Math.floor(Math.log2(magnitude));
  return sign | ((exponent + 15) << 10) | ((magnitude / 2 ** exponent - 1) * 1024);
}

function expectedValues({ shape, strides, start }: View, values: readonly number[]): number[] {
  let positions = [start];
  shape.forEach((dim, axis) => {
    positions = positions.flatMap((position) => Array.from({ length: dim }, (_, i) => position + i * (strides[axis] as number)));
  });
  return positions.map((position) => values[position] as number);
}

test('any view of any storage, in either byte order, in zip and zip64, is what its strides say', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(view, { minLength: 1, maxLength: 5 }), fc.boolean(), fc.boolean(), async (views, big, zip64) => {
      const storages = views.map((item) => storageOf(item, big));
      const entries = views.map((item, i): [Buffer, Buffer] => [op.text(`t${i}`), tensorOp({ ...item, storage: String(i) } satisfies WrittenTensor)]);
      const order = big ? [{ name: 'archive/byteorder', data: Buffer.from('big') }] : [];
      const file = folder.file(
        'property.pt',
        torchBytes(pickle(op.dictOf(...entries)), Object.fromEntries(storages.map(({ bytes }, i) => [i, bytes])), order, { zip64 }),
      );
      const loaded = await io.loadTorch(file, { device: cpu });
      for (const [i, item] of views.entries()) {
        const tensor = loaded.get(`t${i}`) as Tensor;
        expect(tensor.shape).toEqual(item.shape);
        expect([...(await tensor.read())]).toEqual(expectedValues(item, storages[i]?.values ?? []));
        tensor.dispose();
      }
    }),
    { numRuns: 150 },
  );
});
