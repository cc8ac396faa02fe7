import { functional as F, nn, scope, type Tensor } from 'weightnorm';
import { addon } from '../../dist/native.js';
import { layerTolerance, relativeError } from '../support/conv-reference';
import { devices } from '../support/devices';
import { expectError } from '../support/errors';
import { values } from '../support/random';

const tolerance = layerTolerance(64, 'float32');

describe.each(devices)('cached scales on %s', (_, device) => {
  const layer = (seed = 1): nn.WeightNormConv1d => new nn.WeightNormConv1d(4, 6, 3, { device, seed });
  const x = device.tensor(values(2 * 4 * 9, 7), { shape: [2, 4, 9] });

  /** The layer's output against its g and v of now, folded by the operation and convolved. */
  async function expectFollows(conv: nn.WeightNormConv1d): Promise<Float32Array> {
    const actual = await conv.forward(x).read();
    const expected = F.conv1d(x, F.weightNorm(conv.weight_v, conv.weight_g), conv.bias);
    expect(relativeError(actual, await expected.read())).toBeLessThanOrEqual(tolerance);
    return actual;
  }

  /** How many scale operations `fn` queues, and of how many layers each. */
  function scaleCalls(fn: () => void): number[] {
    const spy = jest.spyOn(addon, 'scales');
    try {
      fn();
      return spy.mock.calls.map(([v]) => v.length);
    } finally {
      spy.mockRestore();
    }
  }

  test('all stale layers are computed in one operation on a GPU, each in its own on the CPU, and none again', () => {
    const net = new nn.Sequential(
      layer(1),
      new nn.WeightNormConv1d(6, 4, 1, { device }),
      new nn.WeightNormConvTranspose1d(4, 4, 4, { device, stride: 2 }),
      new nn.WeightNormConv1d(4, 2, 3, { device, dim: null }),
    );
    const other = layer(2);
    // Layers of earlier tests that nobody collected yet may take part, too.
    const first = scaleCalls(() => net.forward(x));
    if (device.info.type === 'cpu') {
      expect(first).toEqual([1, 1, 1, 1]);
      expect(scaleCalls(() => void [net.forward(x), other.forward(x)])).toEqual([1]);
    } else {
      expect(first.length).toBe(1);
      expect(first[0]).toBeGreaterThanOrEqual(5);
    }
    expect(scaleCalls(() => void [net.forward(x), other.forward(x)])).toEqual([]);
  });

  test('a rewritten parameter is seen, and only its layer computed again', async () => {
    const [one, two] = [layer(1), layer(2)];
    const before = await expectFollows(one);
    await expectFollows(two);
    one.weight_g.write(values(6, 3));
    expect(scaleCalls(() => void [two.forward(x), one.forward(x)])).toEqual([1]);
    expect(await expectFollows(one)).not.toEqual(before);
    one.weight_v.write(values(72, 4));
    expect(scaleCalls(() => void one.forward(x))).toEqual([1]);
    await expectFollows(one);
  });

  test('replaced parameters are seen', async () => {
    const conv = layer();
    await expectFollows(conv);
    conv.weight_g = device.tensor(values(6, 5), { shape: [6, 1, 1] });
    const first = await expectFollows(conv);
    conv.weight_v = device.tensor(values(72, 6), { shape: [6, 4, 3] });
    expect(await expectFollows(conv)).not.toEqual(first);
  });

  test('a reshaped parameter keeps the values of that moment, whatever is written to the original', async () => {
    const conv = layer();
    await expectFollows(conv);
    const original = conv.weight_v;
    conv.weight_v = original.reshape([6, 4, 3]);
    const before = await expectFollows(conv);
    original.write(values(72, 8));
    expect(await expectFollows(conv)).toEqual(before);
    conv.weight_v = original.reshape([6, 4, 3]);
    expect(await expectFollows(conv)).not.toEqual(before);
  });

  test('a weight reshaped to another kernel is used with that kernel', async () => {
    const conv = new nn.WeightNormConv1d(4, 6, 3, { device, padding: 'same' });
    conv.forward(x);
    conv.weight_v = device.tensor(values(6 * 4 * 5, 9), { shape: [6, 4, 5] });
    const y = conv.forward(x);
    expect(y.shape).toEqual([2, 6, 9]);
    const expected = F.conv1d(x, F.weightNorm(conv.weight_v, conv.weight_g), conv.bias, { padding: 'same' });
    expect(relativeError(await y.read(), await expected.read())).toBeLessThanOrEqual(tolerance);
  });

  test.each(devices)('parameters moved to %s are seen', async (_name, target) => {
    const conv = layer();
    const before = await expectFollows(conv);
    conv.to(target);
    expect(relativeError(await conv.forward(x.to(target)).read(), before)).toBeLessThanOrEqual(tolerance);
    conv.to(device);
    expect(relativeError(await expectFollows(conv), before)).toBeLessThanOrEqual(tolerance);
  });

  test('a scale whose computation failed is computed again', async () => {
    const conv = layer();
    const before = await expectFollows(conv);
    const failed = jest.spyOn(addon, 'failed').mockReturnValue(true);
    const calls = scaleCalls(() => void conv.forward(x));
    failed.mockRestore();
    expect(calls).toEqual([1]);
    expect(await expectFollows(conv)).toEqual(before);
  });

  test('a parameter that failed takes no other layer with it', () => {
    const [good, bad] = [layer(1), layer(2)];
    const original = addon.scales;
    let badV: unknown;
    const scales = jest.spyOn(addon, 'scales').mockImplementation((v, g, reduce, eps) => {
      badV ??= v[0];
      return original(v, g, reduce, eps);
    });
    bad.forward(x);
    expect(badV).toBeDefined();
    bad.weight_g.write(values(6, 1));
    scales.mockClear();
    const failed = jest.spyOn(addon, 'failed').mockImplementation((tensor) => tensor === badV);
    good.weight_g.write(values(6, 2));
    good.forward(x);
    expect(scales.mock.calls.map(([v]) => v.includes(badV as never))).toEqual([false]);
    scales.mockClear();
    good.weight_g.write(values(6, 3));
    bad.forward(x);
    expect(scales.mock.calls.map(([v]) => v.length)).toEqual([1]);
    failed.mockRestore();
    scales.mockRestore();
  });

  test('disposed parameters are refused by name, and other layers do not mind', () => {
    const [gone, alive] = [layer(1), layer(2)];
    gone.forward(x);
    gone.weight_g.dispose();
    expectError(() => gone.forward(x), 'ERR_DISPOSED', /weight_g was disposed/);
    alive.weight_g.write(values(6, 1));
    alive.forward(x);
    const conv = layer();
    conv.weight_v.dispose();
    expectError(() => conv.forward(x), 'ERR_DISPOSED', /weight_v was disposed/);
  });

  test('a g that does not belong to v is refused by name', () => {
    const conv = layer();
    conv.weight_g = device.ones([1, 1, 1]);
    expectError(() => conv.forward(x), 'ERR_SHAPE', /weight_g has shape \[1, 1, 1\]; for weight_v of shape \[6, 4, 3\] it must be \[6, 1, 1\]/);
    conv.weight_g = device.ones([6]);
    expectError(() => conv.forward(x), 'ERR_SHAPE', /weight_g has shape \[6\]/);
    conv.weight_g = device.ones([6, 1, 1], 'float16');
    expectError(() => conv.forward(x), 'ERR_DTYPE', /weight_g is float16; beside a float32 weight_v it must be float32/);
    (conv as unknown as { weight_g: unknown }).weight_g = 3;
    expectError(() => conv.forward(x), 'ERR_ARGUMENT', /weight_g is 3; it must be a Tensor/);
  });

  test('one broken layer does not break the others', async () => {
    const [broken, fine] = [layer(1), layer(2)];
    broken.weight_g = device.ones([5, 1, 1]);
    await expectFollows(fine);
  });

  test('scales are not the scope’s to dispose', async () => {
    const conv = layer();
    const first = scope(() => conv.forward(x));
    expect(scaleCalls(() => void scope(() => conv.forward(x)))).toEqual([]);
    expect(await conv.forward(x).read()).toEqual(await first.read());
  });

  test('replaced scales are disposed: rewriting in a loop keeps as many tensors', () => {
    const layers = [layer(), new nn.WeightNormConv1d(4, 6, 3, { device, dim: 1 }), new nn.WeightNormConv1d(4, 6, 3, { device, layout: 'mlx' })];
    const inputs = [x, x, device.tensor(values(2 * 9 * 4, 7), { shape: [2, 9, 4] })];
    const step = (i: number): void => {
      layers.forEach((conv, k) => {
        conv.weight_v.write(values(72, i));
        scope(() => void conv.forward(inputs[k] as Tensor));
      });
    };
    step(0);
    const { tensors } = device.memory();
    for (let i = 1; i < 5; i++) step(i);
    expect(device.memory().tensors).toBe(tensors);
  });

  test.each([[{ dim: 1 }], [{ dim: 2 }], [{ dim: -1 }], [{ axes: [2] }], [{ axes: [0, 1] }], [{ dim: null }], [{ axes: [0, 1, 2] }], [{ dim: 0, eps: 0.5 }]])(
    'other axes follow their parameters: %j',
    async (axes) => {
      const conv = new nn.WeightNormConv1d(4, 6, 3, { device, groups: 2, ...axes });
      const follow = async (): Promise<void> => {
        const expected = F.conv1d(x, F.weightNorm(conv.weight_v, conv.weight_g, axes), conv.bias, { groups: 2 });
        expect(relativeError(await conv.forward(x).read(), await expected.read())).toBeLessThanOrEqual(tolerance);
      };
      await follow();
      conv.weight_g.write(values(conv.weight_g.size, 11));
      await follow();
      conv.weight_v.write(values(conv.weight_v.size, 12, 'float32', 0.1));
      await follow();
    },
  );

  test.each([[{}], [{ dim: 0, groups: 2 }], [{ dim: 1 }], [{ dim: 1, groups: 2 }], [{ dim: 2 }], [{ dim: null }]])(
    'transposed convolutions follow their parameters: %j',
    async ({ groups = 1, ...axes }: { groups?: number; dim?: number | null }) => {
      const conv = new nn.WeightNormConvTranspose1d(4, 6, 5, { device, stride: 2, groups, ...axes });
      const follow = async (): Promise<void> => {
        const expected = F.convTranspose1d(x, F.weightNorm(conv.weight_v, conv.weight_g, axes), conv.bias, { stride: 2, groups });
        expect(relativeError(await conv.forward(x).read(), await expected.read())).toBeLessThanOrEqual(tolerance);
      };
      await follow();
      conv.weight_g.write(values(conv.weight_g.size, 11));
      await follow();
      conv.weight_v.write(values(conv.weight_v.size, 12));
      await follow();
    },
  );

  test.each([[{}], [{ dim: 1 }], [{ dim: null }], [{ axes: [0] }]])('Linear follows its parameters: %j', async (axes) => {
    const layer = new nn.WeightNormLinear(9, 5, { device, ...axes });
    const follow = async (): Promise<void> => {
      const expected = F.linear(x, F.weightNorm(layer.weight_v, layer.weight_g, axes), layer.bias);
      expect(relativeError(await layer.forward(x).read(), await expected.read())).toBeLessThanOrEqual(tolerance);
    };
    await follow();
    layer.weight_g.write(values(layer.weight_g.size, 11));
    await follow();
  });

  test('a zero row gives its bias; with eps 0, NaN in its channel alone', async () => {
    const v = values(72, 1).fill(0, 12, 24);
    for (const eps of [undefined, 0]) {
      const conv = new nn.WeightNormConv1d(4, 6, 3, { device, ...(eps === undefined ? {} : { eps }) });
      conv.weight_v.write(v);
      const y = await conv.forward(x).read();
      const bias = (await (conv.bias as Tensor).read())[1] as number;
      for (let i = 0; i < y.length; i++) {
        const channel = Math.floor(i / 7) % 6;
        if (channel !== 1) expect(y[i]).not.toBeNaN();
        else if (eps === 0) expect(y[i]).toBeNaN();
        else expect(y[i]).toBe(bias);
      }
    }
  });

  test('half layers use the unrounded scale', async () => {
    for (const dtype of ['float16', 'bfloat16'] as const) {
      const conv = new nn.WeightNormConv1d(4, 6, 3, { device, dtype, seed: 3 });
      conv.weight_g = device.tensor(values(6, 5), { shape: [6, 1, 1] });
      const half = device.tensor(values(72, 7, dtype), { shape: [2, 4, 9], dtype });
      const exact = F.conv1d(half.to('float32'), F.weightNorm(conv.weight_v.to('float32'), conv.weight_g), (conv.bias as Tensor).to('float32'));
      expect(relativeError(await conv.forward(half).read(), await exact.read())).toBeLessThanOrEqual(layerTolerance(12, dtype) / 2);
    }
  });
});
