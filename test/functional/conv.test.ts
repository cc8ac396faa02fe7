import fc from 'fast-check';
import { functional as F, type Tensor, WeightNormError } from 'weightnorm';
import type { DType } from '../../lib/dtype';
import { type Convolved, type ConvProblem, cancellingTolerance, convReference, convTransposeReference, relativeError } from '../support/conv-reference';
import { devices } from '../support/devices';
import { values } from '../support/random';

const modes = ['zeros', 'reflect', 'replicate', 'circular'] as const;
const dtypes: DType[] = ['float32', 'float32', 'float16', 'bfloat16'];

const common = {
  seed: fc.integer({ min: 0, max: 2 ** 31 }),
  dtype: fc.constantFrom(...dtypes),
  batch: fc.integer({ min: 1, max: 2 }),
  groups: fc.constantFrom(1, 1, 1, 2, 3),
  inputs: fc.integer({ min: 1, max: 9 }),
  outputs: fc.integer({ min: 1, max: 9 }),
  bias: fc.boolean(),
  algorithm: fc.constantFrom('auto' as const, 'direct' as const),
};

describe.each(devices)('convolutions on %s', (_, device) => {
  const runs = { numRuns: device.info.simulated ? 30 : 200 };

  function check(actual: Float32Array, expected: Convolved, terms: number, dtype: DType): void {
    expect(relativeError(actual, expected.data)).toBeLessThanOrEqual(cancellingTolerance(expected, terms, dtype));
  }

  test('conv1d agrees with float64 for random options', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          ...common,
          length: fc.integer({ min: 1, max: 70 }),
          kernel: fc.constantFrom(1, 2, 3, 3, 5, 7, 11, 16),
          stride: fc.constantFrom(1, 1, 1, 2, 3, 8),
          dilation: fc.constantFrom(1, 1, 2, 3, 5),
          left: fc.integer({ min: 0, max: 30 }),
          right: fc.integer({ min: 0, max: 30 }),
          mode: fc.constantFrom(...modes),
        }),
        async (o) => {
          const [c, out] = [o.inputs * o.groups, o.outputs * o.groups];
          const most = o.mode === 'reflect' ? o.length - 1 : o.mode === 'circular' ? o.length : 30;
          const [left, right] = [Math.min(o.left, most), Math.min(o.right, most)];
          fc.pre(o.length + left + right >= o.dilation * (o.kernel - 1) + 1);
          const x = values(o.batch * c * o.length, o.seed, o.dtype);
          const weight = values(out * o.inputs * o.kernel, o.seed + 1, o.dtype);
          const bias = o.bias ? values(out, o.seed + 2, o.dtype) : undefined;
          const problem: ConvProblem = {
            x,
            weight,
            bias,
            groups: o.groups,
            mode: o.mode,
            xShape: [o.batch, c, 1, o.length],
            wShape: [out, o.inputs, 1, o.kernel],
            stride: [1, o.stride],
            dilation: [1, o.dilation],
            padBegin: [0, left],
            padEnd: [0, right],
          };
          const y = F.conv1d(
            device.tensor(x, { shape: [o.batch, c, o.length], dtype: o.dtype }),
            device.tensor(weight, { shape: [out, o.inputs, o.kernel], dtype: o.dtype }),
            bias && device.tensor(bias, { dtype: o.dtype }),
            { stride: o.stride, dilation: o.dilation, padding: [left, right], groups: o.groups, paddingMode: o.mode, algorithm: o.algorithm },
          );
          const expected = convReference(problem);
          expect(y.shape).toEqual([o.batch, out, expected.shape[3]]);
          check(await y.read(), expected, o.inputs * o.kernel, o.dtype);
        },
      ),
      runs,
    );
  });

  test('conv2d agrees with float64 for random options', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          ...common,
          size: fc.tuple(fc.integer({ min: 1, max: 14 }), fc.integer({ min: 1, max: 20 })),
          kernel: fc.tuple(fc.constantFrom(1, 2, 3, 5), fc.constantFrom(1, 3, 4)),
          stride: fc.tuple(fc.constantFrom(1, 1, 2, 3), fc.constantFrom(1, 1, 2)),
          dilation: fc.tuple(fc.constantFrom(1, 1, 2), fc.constantFrom(1, 1, 3)),
          pad: fc.tuple(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 4 })),
          mode: fc.constantFrom(...modes),
        }),
        async (o) => {
          const [c, out] = [o.inputs * o.groups, o.outputs * o.groups];
          const clip = (pad: number, size: number): number => Math.min(pad, o.mode === 'reflect' ? size - 1 : o.mode === 'circular' ? size : 4);
          const padBegin: [number, number] = [clip(o.pad[0], o.size[0]), clip(o.pad[1], o.size[1])];
          const padEnd: [number, number] = [clip(o.pad[2], o.size[0]), clip(o.pad[3], o.size[1])];
          for (const d of [0, 1] as const) fc.pre(o.size[d] + padBegin[d] + padEnd[d] >= o.dilation[d] * (o.kernel[d] - 1) + 1);
          const x = values(o.batch * c * o.size[0] * o.size[1], o.seed, o.dtype);
          const weight = values(out * o.inputs * o.kernel[0] * o.kernel[1], o.seed + 1, o.dtype);
          const bias = o.bias ? values(out, o.seed + 2, o.dtype) : undefined;
          const expected = convReference({
            x,
            weight,
            bias,
            groups: o.groups,
            mode: o.mode,
            xShape: [o.batch, c, ...o.size],
            wShape: [out, o.inputs, ...o.kernel],
            stride: o.stride,
            dilation: o.dilation,
            padBegin,
            padEnd,
          });
          const y = F.conv2d(
            device.tensor(x, { shape: [o.batch, c, ...o.size], dtype: o.dtype }),
            device.tensor(weight, { shape: [out, o.inputs, ...o.kernel], dtype: o.dtype }),
            bias && device.tensor(bias, { dtype: o.dtype }),
            {
              stride: o.stride,
              dilation: o.dilation,
              groups: o.groups,
              paddingMode: o.mode,
              algorithm: o.algorithm,
              padding: [
                [padBegin[0], padEnd[0]],
                [padBegin[1], padEnd[1]],
              ],
            },
          );
          expect(y.shape).toEqual(expected.shape);
          check(await y.read(), expected, o.inputs * o.kernel[0] * o.kernel[1], o.dtype);
        },
      ),
      runs,
    );
  });

  test('transposed convolutions agree with float64 for random options', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          ...common,
          twoD: fc.boolean(),
          size: fc.tuple(fc.integer({ min: 1, max: 7 }), fc.integer({ min: 1, max: 25 })),
          kernel: fc.tuple(fc.constantFrom(1, 2, 3), fc.constantFrom(1, 2, 3, 4, 7, 16)),
          stride: fc.tuple(fc.constantFrom(1, 2, 3), fc.constantFrom(1, 2, 3, 5, 8, 10)),
          dilation: fc.tuple(fc.constantFrom(1, 2), fc.constantFrom(1, 1, 2)),
          padding: fc.tuple(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 0, max: 6 })),
          extra: fc.tuple(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 0, max: 9 })),
        }),
        async (o) => {
          const [c, out] = [o.inputs * o.groups, o.outputs * o.groups];
          const one = o.twoD ? undefined : 1;
          const [size, kernel, stride, dilation] = [o.size, o.kernel, o.stride, o.dilation].map(([a, b]) => [one ?? a, b] as [number, number]) as [
            number,
            number,
          ][] as [[number, number], [number, number], [number, number], [number, number]];
          const padding: [number, number] = [one ? 0 : o.padding[0], o.padding[1]];
          const extra: [number, number] = [one ? 0 : Math.min(o.extra[0], stride[0] - 1), Math.min(o.extra[1], stride[1] - 1)];
          for (const d of [0, 1] as const) fc.pre((size[d] - 1) * stride[d] - 2 * padding[d] + dilation[d] * (kernel[d] - 1) + 1 + extra[d] >= 1);
          const x = values(o.batch * c * size[0] * size[1], o.seed, o.dtype);
          const weight = values(c * o.outputs * kernel[0] * kernel[1], o.seed + 1, o.dtype);
          const bias = o.bias ? values(out, o.seed + 2, o.dtype) : undefined;
          const expected = convTransposeReference({
            x,
            weight,
            bias,
            groups: o.groups,
            xShape: [o.batch, c, ...size],
            wShape: [c, o.outputs, ...kernel],
            stride,
            dilation,
            padBegin: padding,
            padEnd: padding,
            outputPadding: extra,
          });
          const drop = <T>(pair: [T, T]): T[] => (o.twoD ? pair : [pair[1]]);
          const y = (o.twoD ? F.convTranspose2d : F.convTranspose1d)(
            device.tensor(x, { shape: [o.batch, c, ...drop(size)], dtype: o.dtype }),
            device.tensor(weight, { shape: [c, o.outputs, ...drop(kernel)], dtype: o.dtype }),
            bias && device.tensor(bias, { dtype: o.dtype }),
            { stride: drop(stride), dilation: drop(dilation), padding: drop(padding), outputPadding: drop(extra), groups: o.groups, algorithm: o.algorithm },
          );
          expect(y.shape).toEqual([o.batch, out, ...drop([expected.shape[2], expected.shape[3]])]);
          check(await y.read(), expected, o.inputs * kernel[0] * kernel[1], o.dtype);
        },
      ),
      runs,
    );
  });

  const wide = device.info.simulated
    ? ([
        [1, 40, 24, 50, 3],
        [1, 17, 33, 130, 7],
      ] as const)
    : ([
        [2, 80, 128, 300, 7],
        [1, 64, 64, 1000, 11],
        [1, 512, 512, 32, 3],
        [1, 16, 1, 2048, 7],
        [1, 1, 64, 999, 16],
      ] as const);
  test.each(wide)('wide shapes: batch %i, %i to %i channels, %i steps, kernel %i', async (n, c, o, length, k) => {
    for (const dilation of [1, 3]) {
      for (const algorithm of ['auto', 'direct'] as const) {
        const pad = Math.floor((dilation * (k - 1)) / 2);
        const [x, weight, bias] = [values(n * c * length, 1), values(o * c * k, 2), values(o, 3)];
        const y = F.conv1d(device.tensor(x, { shape: [n, c, length] }), device.tensor(weight, { shape: [o, c, k] }), device.tensor(bias), {
          padding: pad,
          dilation,
          algorithm,
        });
        const expected = convReference({
          x,
          weight,
          bias,
          groups: 1,
          xShape: [n, c, 1, length],
          wShape: [o, c, 1, k],
          stride: [1, 1],
          dilation: [1, dilation],
          padBegin: [0, pad],
          padEnd: [0, pad],
        });
        check(await y.read(), expected, c * k, 'float32');
      }
    }
  });

  test("'direct' gives an element the same bits for any batch, length and position", async () => {
    const [c, o, k] = [12, 10, 7];
    const weight = device.tensor(values(o * c * k, 2), { shape: [o, c, k] });
    const length = device.info.simulated ? 70 : 700;
    const x = device.tensor(values(2 * c * length, 1), { shape: [2, c, length] });
    const whole = await F.conv1d(x, weight, null, { algorithm: 'direct' }).read();
    const out = length - k + 1;
    for (const [start, size] of [
      [0, 19],
      [13, 30],
      [length - 41, 41],
    ] as const) {
      const part = await F.conv1d(F.narrow(F.narrow(x, 0, 1, 1), 2, start, size), weight, null, { algorithm: 'direct' }).read();
      const steps = size - k + 1;
      for (let channel = 0; channel < o; channel++) {
        const from = (o + channel) * out + start;
        expect(part.subarray(channel * steps, (channel + 1) * steps)).toEqual(whole.subarray(from, from + steps));
      }
    }
  });

  test('a non-finite input reaches what depends on it and no further than 8 steps', async () => {
    const [c, length] = device.info.simulated ? [16, 120] : [32, 600];
    for (const dilation of [1, 3, 5]) {
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
        const x = values(c * length, 1);
        const at = 60;
        x[3 * length + at] = value;
        const weight = device.tensor(values(c * c * 3, 2), { shape: [c, c, 3] });
        const y = await F.conv1d(device.tensor(x, { shape: [1, c, length] }), weight, null, { padding: dilation, dilation }).read();
        const wrong: number[] = [];
        y.forEach((result, i) => {
          const distance = (i % length) - at;
          const depends = distance === 0 || Math.abs(distance) === dilation;
          if (depends ? Number.isFinite(result) : Math.abs(distance) > dilation + 8 && !Number.isFinite(result)) wrong.push(i);
        });
        expect(wrong).toEqual([]);
      }
    }
  });

  test('more than 65,536 channels', async () => {
    const channels = 65_537;
    const x = device.tensor(values(channels, 4), { shape: [1, channels, 1] });
    const y = await F.conv1d(x, device.full([channels, 1, 1], 2), null, { groups: channels }).read();
    expect(y[channels - 1]).toBe(2 * ((await F.narrow(x, 1, channels - 1, 1).read())[0] as number));
    const many = await F.conv1d(device.tensor([[[3, 4]]]), device.full([channels, 1, 2], 0.5)).read();
    expect([many[0], many[channels - 1]]).toEqual([3.5, 3.5]);
  });

  const x = (): Tensor => device.ones([2, 6, 10]);
  const bad: [string, () => unknown, string, RegExp][] = [
    [
      'channels that do not match',
      () => F.conv1d(x(), device.ones([4, 5, 3])),
      'ERR_SHAPE',
      /x has 6 channels; a weight of shape \[4, 5, 3\] with groups 1 takes 5/,
    ],
    ['groups that do not divide', () => F.conv1d(x(), device.ones([4, 2, 3]), null, { groups: 3 }), 'ERR_ARGUMENT', /groups is 3; it must divide/],
    ['a kernel longer than the input', () => F.conv1d(x(), device.ones([4, 6, 11])), 'ERR_SHAPE', /x of length 10.*kernel's span of 11/],
    ['bias of another length', () => F.conv1d(x(), device.ones([4, 6, 3]), device.ones([5])), 'ERR_SHAPE', /bias has shape \[5\]; it must be \[4\]/],
    ['a weight of another dtype', () => F.conv1d(x(), device.ones([4, 6, 3], 'float16')), 'ERR_DTYPE', /weight is float16 but x is float32/],
    ['stride 0', () => F.conv1d(x(), device.ones([4, 6, 3]), null, { stride: 0 }), 'ERR_ARGUMENT', /stride is 0; it must be an integer of at least 1/],
    ['negative padding', () => F.conv1d(x(), device.ones([4, 6, 3]), null, { padding: -1 }), 'ERR_ARGUMENT', /padding is -1/],
    [
      'reflect padding past the input',
      () => F.conv1d(x(), device.ones([4, 6, 3]), null, { padding: 10, paddingMode: 'reflect' }),
      'ERR_ARGUMENT',
      /padding of 10.*at most 9/,
    ],
    ["'same' with a stride", () => F.conv1d(x(), device.ones([4, 6, 3]), null, { padding: 'same', stride: 2 }), 'ERR_ARGUMENT', /'same', which needs stride 1/],
    [
      'an unknown padding mode',
      () => F.conv1d(x(), device.ones([4, 6, 3]), null, { paddingMode: 'mirror' as never }),
      'ERR_ARGUMENT',
      /paddingMode is "mirror"/,
    ],
    [
      'a rank-4 input to conv1d',
      () => F.conv1d(device.ones([1, 6, 2, 3]), device.ones([4, 6, 3])),
      'ERR_SHAPE',
      /conv1d: x has shape \[1, 6, 2, 3\]; it must have rank 3/,
    ],
    [
      'output padding as large as the stride',
      () => F.convTranspose1d(x(), device.ones([6, 4, 3]), null, { stride: 2, outputPadding: 2 }),
      'ERR_ARGUMENT',
      /outputPadding is 2; it must be smaller than stride 2/,
    ],
    [
      'padding that leaves no output',
      () => F.convTranspose1d(device.ones([1, 6, 1]), device.ones([6, 4, 3]), null, { padding: 2 }),
      'ERR_SHAPE',
      /output of length -1/,
    ],
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
