import fc from 'fast-check';
import { functional, nn, scope, type Tensor } from 'weightnorm';
import { randomCut, streamed } from '../support/cuts';
import { devices } from '../support/devices';
import { expectError } from '../support/errors';
import { values } from '../support/random';

describe.each(devices)('streams on %s', (label, device) => {
  const runs = label.includes('simulated') ? 8 : 60;
  const input = (channels: number, length: number, seed = 1, batch = 1): Tensor =>
    device.tensor(values(batch * channels * length, seed), { shape: [batch, channels, length] });

  /** Whether every way of cutting gives forward's bits, and what is determined comes as early as the look-ahead says. */
  function check(module: nn.Module, x: Tensor, seed: number): void {
    scope(() => {
      const length = x.shape[2] as number;
      const expected = module.forward(x);
      for (const pieces of [new Array<number>(length).fill(1), randomCut(length, seed), [length]]) {
        const { output, shape, counts } = streamed(module, x, pieces);
        expect(shape).toEqual(expected.shape);
        expect(Buffer.from(output.buffer).equals(Buffer.from(expected.readSync().buffer))).toBe(true);
        const stream = module.stream();
        let [pushed, out] = [0, 0];
        pieces.forEach((piece, i) => {
          pushed += piece;
          out += counts[i] as number;
          // Every output whose step lies `lookahead` before the end.
          const determined = Math.max(0, Math.ceil((pushed - stream.lookahead) * stream.rate));
          expect(out).toBeGreaterThanOrEqual(Math.min(determined, expected.shape[2] as number));
        });
        stream.dispose();
      }
    });
  }

  test('Conv1d of any kernel, stride, dilation, groups and padding', () => {
    fc.assert(
      fc.property(
        fc.record({
          groups: fc.integer({ min: 1, max: 3 }),
          kernel: fc.integer({ min: 1, max: 7 }),
          stride: fc.integer({ min: 1, max: 4 }),
          dilation: fc.integer({ min: 1, max: 4 }),
          left: fc.integer({ min: 0, max: 12 }),
          right: fc.integer({ min: 0, max: 12 }),
          paddingMode: fc.constantFrom('zeros' as const, 'zeros' as const, 'reflect' as const, 'replicate' as const, 'circular' as const),
          extra: fc.integer({ min: 1, max: 20 }),
          seed: fc.integer({ min: 0, max: 1000 }),
        }),
        ({ groups, kernel, stride, dilation, left, right, paddingMode, extra, seed }) => {
          const layer = new nn.WeightNormConv1d(2 * groups, 3 * groups, kernel, {
            ...{ groups, stride, dilation, padding: [left, right], paddingMode, algorithm: 'direct', device, seed },
          });
          const span = dilation * (kernel - 1) + 1;
          const least = Math.max(span - left - right, paddingMode === 'zeros' || paddingMode === 'replicate' ? 1 : 1 + Math.max(left, right));
          const x = input(2 * groups, least - 1 + extra, seed, 1 + (seed % 2));
          check(layer, x, seed);
          x.dispose();
          layer.dispose();
        },
      ),
      { numRuns: runs, seed: 5 },
    );
  });

  test('ConvTranspose1d of any kernel, stride, dilation, groups, crop and outputPadding', () => {
    fc.assert(
      fc.property(
        fc.record({
          groups: fc.integer({ min: 1, max: 2 }),
          kernel: fc.integer({ min: 1, max: 9 }),
          stride: fc.integer({ min: 1, max: 5 }),
          dilation: fc.integer({ min: 1, max: 3 }),
          left: fc.integer({ min: 0, max: 9 }),
          right: fc.integer({ min: 0, max: 9 }),
          outputPadding: fc.integer({ min: 0, max: 4 }),
          extra: fc.integer({ min: 0, max: 15 }),
          seed: fc.integer({ min: 0, max: 1000 }),
        }),
        ({ groups, kernel, stride, dilation, left, right, outputPadding, extra, seed }) => {
          const added = Math.min(outputPadding, Math.max(stride, dilation) - 1);
          const layer = new nn.WeightNormConvTranspose1d(2 * groups, 3 * groups, kernel, {
            ...{ groups, stride, dilation, padding: [left, right], outputPadding: added, algorithm: 'direct', device, seed },
          });
          const reach = dilation * (kernel - 1);
          const least = Math.max(1, Math.ceil((left + right - added - reach) / stride) + 1);
          const x = input(2 * groups, least + extra, seed);
          check(layer, x, seed);
          x.dispose();
          layer.dispose();
        },
      ),
      { numRuns: runs, seed: 6 },
    );
  });

  /** As users write them: an activation, a convolution, and the input added. */
  class Residual extends nn.Module {
    readonly convs: nn.Conv1d[];
    constructor(channels: number, kernel: number) {
      super();
      this.convs = [1, 3].map(
        (dilation) => new nn.WeightNormConv1d(channels, channels, kernel, { dilation, padding: 'same', algorithm: 'direct', device, seed: 4 }),
      );
    }
    override forward(x: Tensor): Tensor {
      return this.convs.reduce((y, conv) => functional.add(conv.forward(functional.elu(y)), y), x);
    }
    override streamed(x: nn.Signal): nn.Signal {
      return this.convs.reduce(
        (y, conv) =>
          y
            .map((piece) => functional.elu(piece))
            .through(conv)
            .add(y),
        x,
      );
    }
  }

  test('an encoder and decoder of convolutions, activations and residual blocks', () => {
    const o = { device, algorithm: 'direct' as const, seed: 9 };
    const net = new nn.Sequential(
      new nn.Conv1d(2, 4, 7, { ...o, padding: [6, 0] }),
      new Residual(4, 3),
      new nn.Snake(4, { device }),
      new nn.WeightNormConv1d(4, 6, 4, { ...o, stride: 2, padding: 1 }),
      new nn.ELU(),
      new nn.WeightNormConv1d(6, 8, 9, { ...o, stride: 3, padding: 3, paddingMode: 'reflect' }),
      new nn.LeakyReLU(0.1),
      new nn.WeightNormConvTranspose1d(8, 6, 6, { ...o, stride: 3, padding: [1, 2] }),
      new Residual(6, 4),
      new nn.ReLU(),
      new nn.ConvTranspose1d(6, 4, 4, { ...o, stride: 2, padding: 1 }),
      new nn.Sequential(new nn.SiLU(), new nn.Conv1d(4, 1, 5, { ...o, padding: 2 }), new nn.Tanh()),
    );
    for (const length of label.includes('simulated') ? [19] : [19, 40, 41, 97]) {
      const x = input(2, length, length);
      check(net, x, length);
      x.dispose();
    }
    expect(Number.isInteger(net.stream().lookahead)).toBe(true);
    net.dispose();
  });

  test('layout mlx streams along axis 1', () => {
    const o = { device, algorithm: 'direct' as const, layout: 'mlx' as const, seed: 2 };
    const net = new nn.Sequential(
      new nn.WeightNormConv1d(3, 4, 5, { ...o, padding: 2, paddingMode: 'replicate' }),
      new nn.Snake(4, { device, layout: 'mlx' }),
      new nn.ConvTranspose1d(4, 5, 4, { ...o, stride: 2, padding: 1 }),
      new nn.GELU(),
    );
    const linear = new nn.Linear(5, 2, { device, seed: 3 });
    scope(() => {
      const x = device.tensor(values(2 * 17 * 3, 8), { shape: [2, 17, 3] });
      const expected = net.forward(x).readSync();
      for (const pieces of [[17], [3, 1, 9, 4], randomCut(17, 3, 3)]) expect(streamed(net, x, pieces, 1).output).toEqual(expected);
      // A product of matrices promises an order of operations only where it is direct.
      const both = new nn.Sequential(net, linear);
      const sums = both.forward(x).readSync();
      streamed(both, x, [3, 1, 9, 4], 1).output.forEach((value, i) => void expect(Math.abs(value - (sums[i] as number))).toBeLessThan(1e-6));
      expect(sums.length).toBeGreaterThan(0);
    });
    net.dispose();
    linear.dispose();
  });

  test('a direct Linear gives a row the same bits alone and among others, in a stream and in forward', () => {
    for (const [inputs, outputs, dtype] of [
      [5, 3, 'float32'],
      [700, 40, 'float32'],
      [130, 33, 'float16'],
    ] as const) {
      const layer = new nn.WeightNormLinear(inputs, outputs, { device, dtype, seed: 3, algorithm: 'direct' });
      const net = new nn.Sequential(new nn.ELU(), layer);
      scope(() => {
        const rows = 40;
        const x = device.tensor(values(rows * inputs, 8, dtype), { shape: [1, rows, inputs], dtype });
        const expected = net.forward(x).readSync();
        for (const pieces of [new Array<number>(rows).fill(1), randomCut(rows, 5, 12)]) expect(streamed(net, x, pieces, 1).output).toEqual(expected);
        const auto = new nn.Linear(inputs, outputs, { device, dtype, seed: 3 });
        const [exact, other] = [expected, new nn.Sequential(new nn.ELU(), auto).forward(x).readSync()];
        exact.forEach((value, i) => void expect(Math.abs(value - (other[i] as number))).toBeLessThan(dtype === 'float16' ? 2e-3 : 2e-6));
        auto.dispose();
      });
      net.dispose();
    }
    expect(() => new nn.Linear(2, 2, { device, algorithm: 'fast' as never })).toThrow(/algorithm is "?fast"?.*; it must be 'auto' or 'direct'/);
  });

  test('half types stream with the same bits', () => {
    for (const dtype of ['float16', 'bfloat16'] as const) {
      const layer = new nn.WeightNormConv1d(4, 4, 5, { device, dtype, padding: 2, algorithm: 'direct', seed: 1 });
      scope(() => {
        const x = device.tensor(values(4 * 23, 3, dtype), { shape: [1, 4, 23], dtype });
        expect(streamed(layer, x, [5, 1, 1, 10, 6]).output).toEqual(layer.forward(x).readSync());
      });
      layer.dispose();
    }
  });

  test('the state is what the layers reach back, and nothing is left behind', () => {
    const layer = new nn.Conv1d(4, 4, 5, { device, padding: 2 });
    const x = input(4, 30);
    layer.forward(x).dispose();
    const before = device.memory().tensors;
    const stream = layer.stream();
    for (let i = 0; i < 4; i++) stream.push(x)?.dispose();
    expect(stream.stateBytes).toBe(4 * 4 * 4);
    expect(device.memory().tensors).toBe(before + 1);
    stream.flush()?.dispose();
    expect([stream.stateBytes, device.memory().tensors]).toEqual([0, before]);
    const other = layer.stream();
    other.push(x)?.dispose();
    other.dispose();
    other.dispose();
    expect(device.memory().tensors).toBe(before);
    layer.dispose();
    x.dispose();
  });

  test('a push that fails changes nothing', () => {
    const layer = new nn.Conv1d(3, 2, 3, { device, padding: 1, algorithm: 'direct', seed: 7 });
    scope(() => {
      const x = input(3, 12);
      const stream = layer.stream();
      const parts = [stream.push(functional.narrow(x, 2, 0, 5)) as Tensor];
      expectError(() => stream.push(input(4, 5)), 'ERR_SHAPE', /x has shape \[1, 4, 5\]; its axis 1 must be 3, the channels of the first layer/);
      expectError(() => stream.push(input(3, 5, 1, 2)), 'ERR_SHAPE', /the stream began with \[1, 3, 5\]: only axis 2 may differ/);
      expectError(() => stream.push(device.zeros([3, 5])), 'ERR_SHAPE', /x has shape \[3, 5\]; a stream takes \[N, C, L\]/);
      expectError(() => stream.push(device.zeros([1, 3, 5], 'float16')), 'ERR_DTYPE', /float16/);
      parts.push(stream.push(functional.narrow(x, 2, 5, 7)) as Tensor, stream.flush() as Tensor);
      expect(functional.cat(parts, 2).readSync()).toEqual(layer.forward(x).readSync());
      expectError(() => stream.push(x), 'ERR_STATE', /push: the stream was flushed/);
      expectError(() => stream.flush(), 'ERR_STATE', /flush: the stream was flushed/);
      stream.dispose();
      expectError(() => stream.push(x), 'ERR_DISPOSED', /push: the stream was disposed/);
    });
    layer.dispose();
  });
});

describe('look-ahead', () => {
  const device = (devices[0] as (typeof devices)[number])[1];
  test.each<[string, nn.Module, number, number]>([
    ['a centred kernel looks half its span ahead', new nn.Conv1d(1, 1, 7, { device, padding: 3, dilation: 1 }), 3, 1],
    ['dilation widens it', new nn.Conv1d(1, 1, 7, { device, padding: 9, dilation: 3 }), 9, 1],
    ['a causal layer looks nowhere', new nn.Conv1d(1, 1, 7, { device, padding: [6, 0] }), 0, 1],
    ['a transposed layer looks as far as it crops', new nn.ConvTranspose1d(1, 1, 16, { device, stride: 8, padding: 4 }), 1, 8],
    ['layers add up', new nn.Sequential(new nn.Conv1d(1, 1, 3, { device, padding: 1 }), new nn.ReLU(), new nn.Conv1d(1, 1, 5, { device, padding: 2 })), 3, 1],
    [
      'after a stride a step is worth more',
      new nn.Sequential(new nn.Conv1d(1, 1, 4, { device, stride: 4 }), new nn.Conv1d(1, 1, 3, { device, padding: 1 })),
      7,
      0.25,
    ],
    ['reflecting waits for what it reflects', new nn.Conv1d(1, 1, 3, { device, padding: [9, 0], paddingMode: 'reflect' }), 9, 1],
    ['circular padding needs the end', new nn.Conv1d(1, 1, 3, { device, padding: 1, paddingMode: 'circular' }), Number.POSITIVE_INFINITY, 1],
    ['an activation none', new nn.Tanh(), 0, 1],
  ])('%s', (_, module, lookahead, rate) => {
    const stream = module.stream();
    expect([stream.lookahead, stream.rate]).toEqual([lookahead, rate]);
    stream.dispose();
    module.dispose();
  });

  test('what cannot stream says so', () => {
    class Own extends nn.Module {
      override forward(x: Tensor): Tensor {
        return x;
      }
    }
    class Louder extends nn.Conv1d {
      override forward(x: Tensor): Tensor {
        return functional.mul(super.forward(x), 2);
      }
    }
    expectError(() => new Own().stream(), 'ERR_STATE', /Own cannot stream: its class must define streamed beside forward/);
    expectError(() => new nn.Sequential(new Louder(1, 1, 3, { device })).stream(), 'ERR_STATE', /Louder cannot stream/);
    expectError(() => new nn.Conv2d(1, 1, 3, { device }).stream(), 'ERR_STATE', /Conv2d cannot stream: it has no one axis of time/);
    const mixed = new nn.Sequential(new nn.Conv1d(1, 1, 3, { device }), new nn.Conv1d(1, 1, 3, { device, layout: 'mlx' }));
    expectError(() => mixed.stream(), 'ERR_ARGUMENT', /its layout is not that of the layers before/);
  });

  test('a whole input that is too short for a layer is refused at the end, as forward refuses it', () => {
    const layer = new nn.Conv1d(1, 1, 5, { device });
    const stream = layer.stream();
    const x = device.zeros([1, 1, 3]);
    expect(stream.push(x)).toBeNull();
    expectError(() => stream.flush(), 'ERR_SHAPE', /ended after too few steps: Conv1d has no output/);
    expect(layer.stream().flush()).toBeNull();
    for (const thing of [stream, x, layer]) thing.dispose();
  });
});
