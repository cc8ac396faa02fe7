import { readFileSync } from 'node:fs';
import { Device, io, nn, type Tensor } from 'weightnorm';
import { safetensorsBytes, temporaryFolder } from '../support/files';

const folder = temporaryFolder();
const cpu = Device.get('cpu');
const golden = (name: string) => `test/golden/${name}.safetensors`;

interface Stored {
  dtype: string;
  shape: number[];
  bytes: Buffer;
}

/** A file's tensors by an independent reading of the format. */
function stored(file: string): Map<string, Stored> {
  const bytes = readFileSync(file);
  const start = 8 + Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.subarray(8, start).toString()) as Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>;
  const entries = Object.entries(header).filter(([name]) => name !== '__metadata__');
  return new Map(
    entries.map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [begin, end],
        },
      ]) => [name, { dtype, shape, bytes: bytes.subarray(start + begin, start + end) }],
    ),
  );
}

const floats = ({ bytes }: Stored) => new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer);

/** Largest difference in units of the last place of the float32 reference. */
function worstUlp(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let worst = 0;
  for (let i = 0; i < expected.length; i++) {
    const ulp = 2 ** (Math.max(-126, Math.floor(Math.log2(Math.abs(expected[i] as number)))) - 23);
    worst = Math.max(worst, Math.abs((actual[i] as number) - (expected[i] as number)) / ulp);
  }
  return worst;
}

/** w = g · v / ‖v‖ in float64; g is 1 long along the normalised axes. */
function plainWeight(g: Stored, v: Stored): Float64Array {
  const [values, gains] = [floats(v), floats(g)];
  const group = Float64Array.from(values, (_, i) => {
    let index = 0;
    let rest = i;
    let stride = 1;
    for (let axis = v.shape.length - 1; axis >= 0; axis--) {
      const [dim, kept] = [v.shape[axis] as number, g.shape[axis] as number];
      if (kept > 1) index += (rest % dim) * stride;
      stride *= kept;
      rest = Math.floor(rest / dim);
    }
    return index;
  });
  const sums = new Float64Array(gains.length);
  values.forEach((value, i) => (sums[group[i] as number] = (sums[group[i] as number] as number) + value * value));
  return Float64Array.from(values, (value, i) => ((gains[group[i] as number] as number) * value) / Math.sqrt(sums[group[i] as number] as number));
}

describe.each([
  ['checkpoint_weight_g_v', 'weight_g', 'weight_v'],
  ['checkpoint_parametrizations', 'parametrizations.weight.original0', 'parametrizations.weight.original1'],
])('%s', (name, gName, vName) => {
  const input = golden(name);
  const output = folder.file(`${name}.safetensors`);
  let folded: string[];
  beforeAll(async () => {
    folded = await io.foldCheckpoint(input, output);
  });

  test('the folded layers are named as foldWeightNorm names them', () => {
    expect(folded.sort()).toEqual(['0', '2', '4']);
  });

  test('weights are g·v/‖v‖ within 4 ulp, everything else is unchanged byte for byte', () => {
    const before = stored(input);
    const after = stored(output);
    expect([...after.keys()].sort()).toEqual(['0.bias', '0.weight', '2.bias', '2.weight', '4.bias', '4.weight', '__x', '__y']);
    for (const layer of folded) {
      const v = before.get(`${layer}.${vName}`) as Stored;
      const w = after.get(`${layer}.weight`) as Stored;
      expect([w.dtype, w.shape]).toEqual([v.dtype, v.shape]);
      expect(worstUlp(floats(w), plainWeight(before.get(`${layer}.${gName}`) as Stored, v))).toBeLessThanOrEqual(4);
    }
    for (const [key, tensor] of before) if (after.has(key)) expect(after.get(key)).toEqual(tensor);
  });

  test('the metadata is kept, and the file loads', async () => {
    const bytes = readFileSync(output);
    expect(JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE())).toString()).__metadata__).toEqual({ format: 'pt' });
    expect((await io.loadSafetensors(output)).size).toBe(8);
  });

  test('folding again folds nothing and copies the tensors', async () => {
    const again = folder.file(`${name}-again.safetensors`);
    expect(await io.foldCheckpoint(output, again)).toEqual([]);
    expect(stored(again)).toEqual(stored(output));
  });

  test('input and output may be one file', async () => {
    const file = folder.file(`${name}-in-place.safetensors`, readFileSync(input));
    expect((await io.foldCheckpoint(file, file)).length).toBe(3);
    expect(readFileSync(file).equals(readFileSync(output))).toBe(true);
  });
});

test('both spellings give the same file', async () => {
  const fold = async (name: string) => {
    const output = folder.file(`${name}-twin.safetensors`);
    await io.foldCheckpoint(golden(name), output);
    return stored(output);
  };
  expect(await fold('checkpoint_weight_g_v')).toEqual(await fold('checkpoint_parametrizations'));
});

test("torch's own plain weights come out within 4 ulp for every module, whatever its dim", async () => {
  const reference = stored(golden('torch'));
  const cases = (JSON.parse(readFileSync('test/golden/torch.json', 'utf8')) as { cases: { name: string; op: string; dim: number | null }[] }).cases.filter(
    ({ op }) => op === 'module',
  );
  expect(new Set(cases.map(({ dim }) => dim))).toEqual(new Set([0, 1, null]));
  const tensors = new Map<string, Tensor>();
  for (const { name } of cases) {
    for (const part of ['weight_g', 'weight_v']) {
      const tensor = reference.get(`${name}/${part}`) as Stored;
      tensors.set(`${name}.${part}`, cpu.tensor(floats(tensor), { shape: tensor.shape }));
    }
  }
  const file = folder.file('modules.safetensors');
  await io.saveSafetensors(file, tensors);
  const output = folder.file('modules-folded.safetensors');
  expect((await io.foldCheckpoint(file, output)).sort()).toEqual(cases.map(({ name }) => name).sort());
  const folded = stored(output);
  for (const { name } of cases) {
    expect(worstUlp(floats(folded.get(`${name}.weight`) as Stored), floats(reference.get(`${name}/weight`) as Stored))).toBeLessThanOrEqual(4);
  }
});

test('a whole state dict folds to what foldWeightNorm computes, in half precision too', async () => {
  for (const dtype of ['float32', 'float16', 'bfloat16'] as const) {
    for (const naming of ['weight_g', 'parametrizations'] as const) {
      const model = new nn.Sequential(
        new nn.WeightNormConv1d(4, 6, 3, { dtype, device: cpu }),
        new nn.WeightNormConvTranspose1d(6, 2, 4, { dtype, dim: 1, device: cpu }),
        new nn.WeightNormLinear(3, 2, { dtype, dim: null, device: cpu }),
      );
      const file = folder.file('state.safetensors');
      await io.saveSafetensors(file, model.stateDict({ naming }));
      const output = folder.file('state-folded.safetensors');
      const names = await io.foldCheckpoint(file, output);
      expect(names.sort()).toEqual(nn.foldWeightNorm(model).sort());
      const loaded = await io.loadSafetensors(output, { device: cpu });
      const state = model.stateDict({ naming: 'folded' });
      expect([...loaded.keys()].sort()).toEqual([...state.keys()].sort());
      for (const [key, tensor] of state) expect(await loaded.get(key)?.readRaw()).toEqual(await tensor.readRaw());
    }
  }
});

test('recurrent weights, a scalar g, a float32 g beside a half v, integers and a float64 v', async () => {
  const data = Buffer.alloc(8 + 16 + 8 + 8 + 8 + 8);
  data.writeBigInt64LE(41n, 0);
  data.writeDoubleLE(3, 8);
  data.writeDoubleLE(4, 16);
  for (const [i, value] of [10, 1, 3, 4].entries()) data.writeFloatLE(value, 24 + 4 * i);
  data.writeUInt16LE(0x4200, 40); // 3
  data.writeUInt16LE(0x4400, 42); // 4
  data.writeFloatLE(5, 48 - 4);
  for (const [i, value] of [5, 2].entries()) data.writeFloatLE(value, 48 + 4 * i);
  const file = folder.file(
    'mixed.safetensors',
    safetensorsBytes(
      {
        step: { dtype: 'I64', shape: [], data_offsets: [0, 8] },
        'wide.weight_v': { dtype: 'F64', shape: [1, 2], data_offsets: [8, 24] },
        'wide.weight_g': { dtype: 'F32', shape: [1, 1], data_offsets: [24, 28] },
        'lstm.weight_hh_l0_g': { dtype: 'F32', shape: [], data_offsets: [28, 32] },
        'lstm.weight_hh_l0_v': { dtype: 'F32', shape: [2], data_offsets: [32, 40] },
        weight_v: { dtype: 'F16', shape: [1, 2], data_offsets: [40, 44] },
        weight_g: { dtype: 'F32', shape: [1, 1], data_offsets: [44, 48] },
        'plain.weight': { dtype: 'F32', shape: [2], data_offsets: [48, 56] },
      },
      data,
    ),
  );
  const output = folder.file('mixed-folded.safetensors');
  expect((await io.foldCheckpoint(file, output)).sort()).toEqual(['', 'lstm.weight_hh_l0', 'wide']);
  const after = stored(output);
  expect([...after.keys()].sort()).toEqual(['lstm.weight_hh_l0', 'plain.weight', 'step', 'weight', 'wide.weight']);
  expect(after.get('step')?.bytes.readBigInt64LE()).toBe(41n);
  expect(after.get('wide.weight')?.dtype).toBe('F32');
  expect([...floats(after.get('wide.weight') as Stored)]).toEqual([6, 8]);
  expect(worstUlp(floats(after.get('lstm.weight_hh_l0') as Stored), [0.6, 0.8])).toBeLessThanOrEqual(4);
  expect(after.get('weight')?.dtype).toBe('F16');
  expect(after.get('weight')?.bytes).toEqual(Buffer.from([0x00, 0x42, 0x00, 0x44]));
  expect([...floats(after.get('plain.weight') as Stored)]).toEqual([5, 2]);
});

describe('what cannot be folded is an ERR_FORMAT, and nothing is written', () => {
  const entries = (list: [string, number[], string?][]) => {
    let at = 0;
    const header = Object.fromEntries(
      list.map(([name, shape, dtype = 'F32']) => {
        const begin = at;
        at += shape.reduce((product, dim) => product * dim, 4);
        return [name, { dtype, shape, data_offsets: [begin, at] }];
      }),
    );
    return safetensorsBytes(header, new Uint8Array(at));
  };
  test.each([
    ['g without v', entries([['a.weight_g', [2, 1]]]), /tensor "a\.weight_g" has no partner: weight "a\.weight" needs both g and v/],
    ['v without g', entries([['a.parametrizations.weight.original1', [2, 3]]]), /tensor "a\.parametrizations\.weight\.original1" has no partner/],
    [
      'a weight in two spellings',
      entries([
        ['a.weight_g', [2, 1]],
        ['a.weight_v', [2, 3]],
        ['a.parametrizations.weight.original0', [2, 1]],
      ]),
      /weight "a\.weight" is stored in more than one spelling/,
    ],
    [
      'a weight beside its g and v',
      entries([
        ['a.weight', [2, 3]],
        ['a.weight_g', [2, 1]],
        ['a.weight_v', [2, 3]],
      ]),
      /weight "a\.weight" is stored in more than one spelling/,
    ],
    [
      'g of the wrong length',
      entries([
        ['a.weight_g', [3, 1]],
        ['a.weight_v', [2, 3]],
      ]),
      /tensor "a\.weight_g" has shape \[3, 1\]; for "a\.weight_v" of shape \[2, 3\] it must be 1 along/,
    ],
    [
      'g of the wrong rank',
      entries([
        ['a.weight_g', [2]],
        ['a.weight_v', [2, 3]],
      ]),
      /tensor "a\.weight_g" has shape \[2\]/,
    ],
    [
      'g as large as v',
      entries([
        ['a.weight_g', [2, 3]],
        ['a.weight_v', [2, 3]],
      ]),
      /tensor "a\.weight_g" has shape \[2, 3\]/,
    ],
    [
      'integers',
      entries([
        ['a.weight_g', [2, 1]],
        ['a.weight_v', [2, 3], 'I32'],
      ]),
      /tensor "a\.weight_v" of I32 and shape \[2, 3\] cannot be folded/,
    ],
  ])('%s', async (_, bytes, message) => {
    const file = folder.file('bad.safetensors', bytes);
    await expect(io.foldCheckpoint(file, folder.file('bad-folded.safetensors'))).rejects.toMatchObject({
      code: 'ERR_FORMAT',
      message: expect.stringMatching(message),
    });
    expect(folder.list()).not.toContain('bad-folded.safetensors');
  });
});

test('an abort stops between tensors and leaves nothing behind', async () => {
  const before = folder.list();
  const controller = new AbortController();
  const fractions: number[] = [];
  const folding = io.foldCheckpoint(golden('checkpoint_weight_g_v'), folder.file('aborted.safetensors'), {
    signal: controller.signal,
    onProgress: (fraction) => {
      fractions.push(fraction);
      controller.abort();
    },
  });
  await expect(folding).rejects.toMatchObject({ code: 'ERR_ABORTED' });
  expect(fractions.length).toBe(1);
  expect(folder.list()).toEqual(before);
});
