import fc from 'fast-check';
import { functional as F, type Tensor, WeightNormError } from 'weightnorm';
import type { DType } from '../../lib/dtype';
import { layerTolerance, relativeError, sourceIndex } from '../support/conv-reference';
import { devices } from '../support/devices';
import { roundTo, ulp, values } from '../support/random';

const erf = (x: number): number => {
  // Series near 0, continued fraction beyond: float64 accuracy.
  if (Math.abs(x) < 3) {
    let [term, sum] = [x, x];
    for (let n = 1; n < 120; n++) {
      term *= (-x * x) / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let n = 120; n > 0; n--) fraction = n / 2 / (Math.abs(x) + fraction);
  return Math.sign(x) * (1 - Math.exp(-x * x) / ((Math.abs(x) + fraction) * Math.sqrt(Math.PI)));
};

const activations: [string, (x: Tensor) => Tensor, (x: number) => number][] = [
  ['leakyRelu', (x) => F.leakyRelu(x, 0.1), (x) => (x >= 0 ? x : Math.fround(0.1) * x)],
  ['relu', F.relu, (x) => Math.max(x, 0)],
  ['elu', (x) => F.elu(x, 1.5), (x) => (x > 0 ? x : 1.5 * Math.expm1(x))],
  ['gelu', F.gelu, (x) => (x * (1 + erf(x / Math.SQRT2))) / 2],
  ['silu', F.silu, (x) => x / (1 + Math.exp(-x))],
  ['sigmoid', F.sigmoid, (x) => 1 / (1 + Math.exp(-x))],
  ['tanh', F.tanh, Math.tanh],
  ['exp', F.exp, Math.exp],
  ['sin', F.sin, Math.sin],
  ['pow 2', (x) => F.pow(x, 2), (x) => x * x],
  ['pow 3', (x) => F.pow(x, 3), (x) => x ** 3],
  ['pow of the magnitude', (x) => F.pow(F.pow(x, 2), 0.75), (x) => Math.abs(x) ** 1.5],
];

describe.each(devices)('operations on %s', (_, device) => {
  const count = device.info.simulated ? 203 : 20_003;

  test.each(activations)('%s', async (_name, run, exact) => {
    for (const dtype of ['float32', 'float16', 'bfloat16'] as DType[]) {
      const x = values(count, 11, dtype, 8);
      const y = await run(device.tensor(x, { dtype })).read();
      let worst = 0;
      y.forEach((actual, i) => {
        const expected = exact(x[i] as number);
        // 4 ulp, plus 1e-6 of the input's size where a tail or a zero crossing cancels.
        const allowed = dtype === 'float32' ? 8 * ulp(expected) + 1e-6 : 2 * ulp(expected, dtype) + 1e-6;
        worst = Math.max(worst, Math.abs(actual - expected) / allowed);
      });
      expect(worst).toBeLessThanOrEqual(1);
    }
  });

  test('activations at the ends of the range', async () => {
    const x = device.tensor([0, -0, 1e30, -1e30, 90, -90, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]);
    expect([...(await F.tanh(x).read())]).toEqual([0, -0, 1, -1, 1, -1, 1, -1]);
    expect([...(await F.sigmoid(x).read())].map((v) => Math.round(v))).toEqual([1, 1, 1, 0, 1, 0, 1, 0].map((v, i) => (i < 2 ? Math.round(0.5) : v)));
    expect([...(await F.elu(x).read())].slice(2)).toEqual([Math.fround(1e30), -1, 90, -1, Number.POSITIVE_INFINITY, -1]);
    expect(Number.isNaN((await F.gelu(device.tensor([Number.NaN])).read())[0])).toBe(true);
  });

  test.each([false, true])('snake with one alpha a channel, logScale %s', async (logScale) => {
    const [n, c, length] = [2, 5, 37];
    const x = values(n * c * length, 1, 'float32', 4);
    const alpha = values(c, 2).map((a) => (logScale ? a : a + 1.5));
    for (const shape of [[c], [1, c, 1]]) {
      const y = await F.snake(device.tensor(x, { shape: [n, c, length] }), device.tensor(alpha, { shape }), { logScale }).read();
      y.forEach((actual, i) => {
        const a = alpha[Math.floor(i / length) % c] as number;
        const rate = logScale ? Math.exp(a) : a;
        const v = x[i] as number;
        expect(Math.abs(actual - (v + Math.sin(rate * v) ** 2 / (rate + 1e-9)))).toBeLessThanOrEqual(8 * ulp(v) + 2e-6);
      });
    }
  });

  test('arithmetic broadcasts as NumPy does, for random shapes and numbers', async () => {
    const dims = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 0, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(
        dims,
        fc.integer({ min: 0, max: 2 ** 20 }),
        fc.nat(3),
        fc.constantFrom<DType>('float32', 'float16', 'bfloat16'),
        async (full, seed, kind, dtype) => {
          const drop = (bits: number): number[] => full.slice(bits % (full.length + 1)).map((dim, i) => ((bits >> (i + 3)) & 1 ? 1 : dim));
          const [aShape, bShape] = [drop(seed & 1023), drop(seed >> 10)];
          const at = (shape: number[], index: number[]): number =>
            shape.reduce((flat, dim, i) => flat * dim + (dim === 1 ? 0 : (index[index.length - shape.length + i] as number)), 0);
          const rank = Math.max(aShape.length, bShape.length);
          const shape = Array.from({ length: rank }, (_x, i) => Math.max(aShape[i - rank + aShape.length] ?? 1, bShape[i - rank + bShape.length] ?? 1));
          const size = (s: number[]): number => s.reduce((p, d) => p * d, 1);
          const a = values(size(aShape), seed, dtype);
          const b = values(size(bShape), seed + 1, dtype).map((v) => (v === 0 ? 1 : v));
          const op = [F.add, F.sub, F.mul, F.div][kind] as typeof F.add;
          const exact = [(p: number, q: number) => p + q, (p: number, q: number) => p - q, (p: number, q: number) => p * q, (p: number, q: number) => p / q][
            kind
          ] as (p: number, q: number) => number;
          const y = op(device.tensor(a, { shape: aShape, dtype }), device.tensor(b, { shape: bShape, dtype }));
          expect(y.shape).toEqual(shape);
          const actual = await y.read();
          for (let i = 0; i < actual.length; i++) {
            const index: number[] = [];
            for (let axis = rank - 1, rest = i; axis >= 0; axis--) {
              index.unshift(rest % (shape[axis] as number));
              rest = Math.floor(rest / (shape[axis] as number));
            }
            expect(actual[i]).toBe(roundTo(Math.fround(exact(a[at(aShape, index)] as number, b[at(bShape, index)] as number)), dtype));
          }
        },
      ),
      { numRuns: device.info.simulated ? 25 : 120 },
    );
    const x = device.tensor([1, 2, 4]);
    expect([...(await F.sub(1, x).read()), ...(await F.div(x, 2).read()), ...(await F.div(8, x).read()), ...(await F.mul(x, -1).read())]).toEqual([
      0, -1, -3, 0.5, 1, 2, 8, 4, 2, -1, -2, -4,
    ]);
  });

  test('sum and mean over any axes', async () => {
    const shape = [3, 4, 5, 2];
    const x = values(120, 21);
    const t = device.tensor(x, { shape });
    for (const axes of [undefined, [0], [3], [1, 2], [0, 2], [-1, 0], [0, 1, 2, 3]]) {
      const reduced = (axes ?? [0, 1, 2, 3]).map((axis) => (axis < 0 ? axis + 4 : axis));
      const keptShape = shape.map((d, i) => (reduced.includes(i) ? 1 : d));
      const sums = new Float64Array(keptShape.reduce((a, b) => a * b, 1));
      for (let i = 0; i < 120; i++) {
        const index = [Math.floor(i / 40), Math.floor(i / 10) % 4, Math.floor(i / 2) % 5, i % 2];
        const at = keptShape.reduce((flat, d, axis) => flat * d + (d === 1 ? 0 : (index[axis] as number)), 0);
        sums[at] = (sums[at] as number) + (x[i] as number);
      }
      const terms = 120 / sums.length;
      const [total, average] = [F.sum(t, axes), F.mean(t, axes, { keepDims: true })];
      expect(total.shape).toEqual(shape.filter((_d, i) => !reduced.includes(i)));
      expect(average.shape).toEqual(keptShape);
      (await total.read()).forEach((v, i) => expect(Math.abs(v - (sums[i] as number))).toBeLessThanOrEqual(2 * ulp(terms)));
      (await average.read()).forEach((v, i) => expect(Math.abs(v - (sums[i] as number) / terms)).toBeLessThanOrEqual(2 * ulp(1)));
    }
    expect((await F.sum(device.full([device.info.simulated ? 2 ** 15 : 2 ** 22], 0.1)).read())[0]).toBeCloseTo(
      (device.info.simulated ? 2 ** 15 : 2 ** 22) * Math.fround(0.1),
      -1,
    );
  });

  test('transpose, narrow, cat, pad and interpolate move values exactly, for every dtype', async () => {
    for (const dtype of ['float32', 'float16', 'bfloat16'] as DType[]) {
      const x = values(2 * 3 * 4 * 5, 31, dtype);
      const t = device.tensor(x, { shape: [2, 3, 4, 5], dtype });
      const at = (i: number, j: number, k: number, l: number): number => x[((i * 3 + j) * 4 + k) * 5 + l] as number;
      const permuted = t.transpose([2, 0, 3, 1]);
      expect(permuted.shape).toEqual([4, 2, 5, 3]);
      const y = await permuted.read();
      let flat = 0;
      for (let k = 0; k < 4; k++) for (let i = 0; i < 2; i++) for (let l = 0; l < 5; l++) for (let j = 0; j < 3; j++) expect(y[flat++]).toBe(at(i, j, k, l));
      expect(await permuted.transpose([1, 3, 0, 2]).read()).toEqual(x);
      expect(t.transpose().shape).toEqual([5, 4, 3, 2]);

      const parts = [F.narrow(t, 2, 0, 1), F.narrow(t, 2, 1, 2), F.narrow(t, -2, -1, 1)];
      expect(await F.cat(parts, 2).read()).toEqual(x);
      expect([...(await F.narrow(F.narrow(t, 0, 1, 1), 3, 2, 2).read())].slice(0, 2)).toEqual([at(1, 0, 0, 2), at(1, 0, 0, 3)]);

      for (const mode of ['zeros', 'reflect', 'replicate', 'circular'] as const) {
        const padded = F.pad(t, [3, 2], { mode });
        expect(padded.shape).toEqual([2, 3, 4, 10]);
        const row = (await padded.read()).subarray(10, 20);
        expect([...row]).toEqual(Array.from({ length: 10 }, (_v, i) => (sourceIndex(i - 3, 5, mode) < 0 ? 0 : at(0, 0, 1, sourceIndex(i - 3, 5, mode)))));
      }
      const doubled = await F.interpolate(t, 3).read();
      doubled.forEach((v, i) => expect(v).toBe(x[Math.floor(i / 3)]));
    }
  });

  test('casts round to nearest even and keep special values', async () => {
    const x = [1, 1 + 2 ** -11, 1 + 3 * 2 ** -11, 65504, 65519.99, 65520, 1e-8, 6e-8, -0, Number.POSITIVE_INFINITY, 3.4e38, 1.00390625, 1.01171875];
    for (const dtype of ['float16', 'bfloat16'] as DType[]) {
      const back = await device.tensor(x).to(dtype).to('float32').read();
      x.forEach((v, i) => expect(Object.is(back[i], roundTo(Math.fround(v), dtype)) || (dtype === 'float16' && Math.abs(v) < 6.2e-5)).toBe(true));
    }
    const tiny = await device
      .tensor([2 ** -24, 2 ** -25, 3 * 2 ** -25, 2 ** -14])
      .to('float16')
      .read();
    expect([...tiny]).toEqual([2 ** -24, 0, 2 ** -23, 2 ** -14]);
    expect(Number.isNaN((await device.tensor([Number.NaN]).to('bfloat16').read())[0])).toBe(true);
  });

  const products = device.info.simulated
    ? [
        [3, 5, 7],
        [1, 40, 33],
        [17, 64, 48],
        // Large enough for Metal Performance Shaders.
        [260, 260, 260],
      ]
    : [
        [1, 1, 1],
        [1, 300, 257],
        [2, 64, 1000],
        [33, 129, 65],
        [128, 512, 96],
        [3, 4096, 40],
      ];
  test.each(products)('linear with %i rows, %i to %i features', async (rows, inputs, outputs) => {
    for (const dtype of ['float32', 'float16', 'bfloat16'] as DType[]) {
      const [x, w, b] = [values(rows * inputs, 1, dtype), values(outputs * inputs, 2, dtype), values(outputs, 3, dtype)];
      const expected = new Float64Array(rows * outputs);
      for (let r = 0; r < rows; r++)
        for (let o = 0; o < outputs; o++) {
          let sum = b[o] as number;
          for (let i = 0; i < inputs; i++) sum += (x[r * inputs + i] as number) * (w[o * inputs + i] as number);
          expected[r * outputs + o] = sum;
        }
      const [tx, tw] = [device.tensor(x, { shape: [rows, inputs], dtype }), device.tensor(w, { shape: [outputs, inputs], dtype })];
      const y = F.linear(tx, tw, device.tensor(b, { dtype }));
      expect(relativeError(await y.read(), expected)).toBeLessThanOrEqual(layerTolerance(inputs, dtype));
      const product = F.add(F.matmul(tx, tw.transpose()), device.tensor(b, { dtype }));
      expect(relativeError(await product.read(), expected)).toBeLessThanOrEqual(2 * layerTolerance(inputs, dtype));
    }
  });

  test('matmul broadcasts its leading axes', async () => {
    const a = values(2 * 1 * 3 * 4, 5);
    const b = values(5 * 4 * 6, 6);
    const y = F.matmul(device.tensor(a, { shape: [2, 1, 3, 4] }), device.tensor(b, { shape: [5, 4, 6] }));
    expect(y.shape).toEqual([2, 5, 3, 6]);
    const actual = await y.read();
    for (let p = 0; p < 2; p++)
      for (let q = 0; q < 5; q++)
        for (let i = 0; i < 3; i++)
          for (let j = 0; j < 6; j++) {
            let sum = 0;
            for (let k = 0; k < 4; k++) sum += (a[(p * 3 + i) * 4 + k] as number) * (b[(q * 4 + k) * 6 + j] as number);
            expect(actual[((p * 5 + q) * 3 + i) * 6 + j]).toBeCloseTo(sum, 5);
          }
  });

  const bad: [string, () => unknown, string, RegExp][] = [
    ['shapes that do not broadcast', () => F.add(device.ones([2, 3]), device.ones([2, 4])), 'ERR_SHAPE', /add: shapes \[2, 3\] and \[2, 4\] do not broadcast/],
    ['dtypes that differ', () => F.mul(device.ones([2]), device.ones([2], 'float16')), 'ERR_DTYPE', /b is float16 but a is float32/],
    ['two numbers', () => F.add(1, 2), 'ERR_ARGUMENT', /both numbers/],
    [
      'matmul of unequal inner sizes',
      () => F.matmul(device.ones([2, 3]), device.ones([4, 2])),
      'ERR_SHAPE',
      /matmul: a \[2, 3\] has 3 columns but b \[4, 2\] has 4 rows/,
    ],
    ['matmul of a vector', () => F.matmul(device.ones([3]), device.ones([3, 2])), 'ERR_SHAPE', /both need rank 2/],
    [
      'linear of unequal features',
      () => F.linear(device.ones([2, 3]), device.ones([5, 4])),
      'ERR_SHAPE',
      /x has 3 features; a weight of shape \[5, 4\] takes 4/,
    ],
    ['a snake alpha of the wrong length', () => F.snake(device.ones([1, 3, 4]), device.ones([4])), 'ERR_SHAPE', /alpha has shape \[4\]; for 3 channels/],
    ['narrow past the end', () => F.narrow(device.ones([4]), 0, 2, 3), 'ERR_ARGUMENT', /start 2 and length 3 leave axis 0 of size 4/],
    ['narrow of nothing', () => F.narrow(device.ones([4]), 0, 0, 0), 'ERR_ARGUMENT', /length is 0/],
    ['cat of nothing', () => F.cat([]), 'ERR_ARGUMENT', /tensors is \[\]/],
    ['cat of unequal shapes', () => F.cat([device.ones([2, 3]), device.ones([2, 4])], 0), 'ERR_SHAPE', /shape \[2, 4\] does not match \[2, 3\] outside axis 0/],
    ['reflect past the axis', () => F.pad(device.ones([3]), [3, 0], { mode: 'reflect' }), 'ERR_ARGUMENT', /at most 2/],
    ['negative pad', () => F.pad(device.ones([3]), [-1, 0]), 'ERR_ARGUMENT', /left is -1/],
    ['interpolate by 0', () => F.interpolate(device.ones([3]), 0), 'ERR_ARGUMENT', /factor is 0/],
    ['transpose with a repeated axis', () => device.ones([2, 3]).transpose([0, 0]), 'ERR_ARGUMENT', /permutation/],
    ['a reduction over an axis that is not there', () => F.sum(device.ones([2]), [1]), 'ERR_ARGUMENT', /axes is 1; for a tensor of rank 1/],
  ];
  test.each(bad)('%s is refused', (_name, run, code, message) => {
    let thrown: unknown;
    try {
      run();
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(WeightNormError);
    expect([(thrown as WeightNormError).code, (thrown as Error).message]).toEqual([code, expect.stringMatching(message)]);
  });
});
