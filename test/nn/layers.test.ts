import { type DType, functional as F, nn, type Tensor } from 'weightnorm';
import { relativeError } from '../support/conv-reference';
import { devices } from '../support/devices';
import { expectError } from '../support/errors';
import { values } from '../support/random';

describe.each(devices)('layers on %s', (_, device) => {
  const x = device.tensor(values(2 * 4 * 9, 7), { shape: [2, 4, 9] });

  test('every option reaches the operation', async () => {
    const image = device.tensor(values(4 * 6 * 5, 8), { shape: [1, 4, 6, 5] });
    const one = { stride: 2, padding: [3, 1], dilation: 2, groups: 2, paddingMode: 'circular', algorithm: 'direct' } as const;
    const two = { stride: [2, 1], padding: [1, [0, 2]], dilation: [1, 2], groups: 2, paddingMode: 'replicate' } as const;
    const up = { stride: 3, padding: [1, 2], outputPadding: 1, dilation: 2, groups: 2 } as const;
    const up2 = { stride: [2, 3], padding: [1, [0, 1]], outputPadding: [1, 0], groups: 2 } as const;
    const pairs: [Tensor, Tensor][] = [];
    const conv1 = new nn.Conv1d(4, 6, 3, { device, ...one });
    pairs.push([conv1.forward(x), F.conv1d(x, conv1.weight, conv1.bias, one)]);
    const same = new nn.Conv1d(4, 6, 4, { device, padding: 'same' });
    pairs.push([same.forward(x), F.conv1d(x, same.weight, same.bias, { padding: [1, 2] })]);
    const conv2 = new nn.Conv2d(4, 6, [3, 2], { device, bias: false, ...two });
    pairs.push([conv2.forward(image), F.conv2d(image, conv2.weight, null, two)]);
    const up1 = new nn.ConvTranspose1d(4, 6, 3, { device, ...up });
    pairs.push([up1.forward(x), F.convTranspose1d(x, up1.weight, up1.bias, up)]);
    const upTwo = new nn.ConvTranspose2d(4, 6, 3, { device, ...up2 });
    pairs.push([upTwo.forward(image), F.convTranspose2d(image, upTwo.weight, upTwo.bias, up2)]);
    for (const [actual, expected] of pairs) {
      expect(actual.shape).toEqual(expected.shape);
      expect(await actual.read()).toEqual(await expected.read());
    }
  });

  test('weights start uniform within 1/√fan_in, the same for a seed on every device and layout', async () => {
    const conv = new nn.Conv1d(16, 24, 5, { device, groups: 2, seed: 42 });
    const bound = 1 / Math.sqrt(8 * 5);
    const weight = await conv.weight.read();
    expect(Math.max(...weight)).toBeLessThanOrEqual(bound);
    expect(Math.min(...weight)).toBeGreaterThanOrEqual(-bound);
    expect(Math.max(...weight)).toBeGreaterThan(0.98 * bound);
    expect(Math.min(...weight)).toBeLessThan(-0.98 * bound);
    const mean = weight.reduce((sum, value) => sum + value, 0) / weight.length;
    expect(Math.abs(mean)).toBeLessThan(0.06 * bound);
    const variance = weight.reduce((sum, value) => sum + value * value, 0) / weight.length;
    expect(variance / ((bound * bound) / 3)).toBeGreaterThan(0.93);
    expect(variance / ((bound * bound) / 3)).toBeLessThan(1.07);
    expect(new Set(weight).size).toBeGreaterThan(0.99 * weight.length);
    expect(await new nn.Conv1d(16, 24, 5, { device, groups: 2, seed: 42 }).weight.read()).toEqual(weight);
    expect(await new nn.Conv1d(16, 24, 5, { device, groups: 2, seed: 43 }).weight.read()).not.toEqual(weight);
    expect(await new nn.Conv1d(16, 24, 5, { device, groups: 2, seed: 42 + 2 ** 32 }).weight.read()).not.toEqual(weight);
    expect(await new nn.Conv1d(16, 24, 5, { device, groups: 2 }).weight.read()).not.toEqual(
      await new nn.Conv1d(16, 24, 5, { device, groups: 2 }).weight.read(),
    );
    // A fixed value, so that the stream cannot change unnoticed.
    expect([...(await new nn.Linear(1, 3, { device, seed: 0, bias: false }).weight.read())]).toEqual([
      -0.1664973497390747, -0.9790587425231934, 0.17411231994628906,
    ]);
    const up = await new nn.ConvTranspose1d(4, 6, 8, { device }).weight.read();
    expect(Math.max(...up)).toBeLessThanOrEqual(1 / Math.sqrt(6 * 8));
  });

  test('init zeros, no bias, and dtypes', async () => {
    const zero = new nn.Linear(3, 2, { device, init: 'zeros' });
    expect([...(await zero.weight.read())]).toEqual([0, 0, 0, 0, 0, 0]);
    expect(new nn.Linear(3, 2, { device, bias: false }).bias).toBeNull();
    for (const dtype of ['float16', 'bfloat16'] as const) {
      const layer = new nn.WeightNormLinear(3, 2, { device, dtype });
      expect([layer.weight_v.dtype, layer.bias?.dtype, layer.weight_g.dtype]).toEqual([dtype, dtype, 'float32']);
      expect(layer.forward(device.ones([1, 3], dtype)).dtype).toBe(dtype);
    }
  });

  test('Linear takes any leading axes and fuses what follows', async () => {
    const layer = new nn.Linear(9, 5, { device });
    const y = layer.forward(x);
    expect(y.shape).toEqual([2, 4, 5]);
    const fused = layer.fused(x, { pre: { kind: 'tanh' }, post: { kind: 'relu' } });
    expect(relativeError(await fused.read(), await F.relu(layer.forward(F.tanh(x))).read())).toBeLessThanOrEqual(1e-6);
    expect(layer.forward(device.ones([9])).shape).toEqual([5]);
  });

  test.each([
    ['inChannels', () => new nn.Conv1d(0, 4, 3), /inChannels is 0; it must be an integer of at least 1/],
    ['outChannels', () => new nn.Conv1d(4, 2.5, 3), /outChannels is 2.5/],
    ['kernelSize', () => new nn.Conv1d(4, 4, 0), /kernelSize is 0/],
    ['kernelSize', () => new nn.Conv2d(4, 4, [3]), /kernelSize is \[3\]; it must be a number or 2 numbers/],
    ['kernelSize', () => new nn.Conv1d(4, 4, undefined as unknown as number), /kernelSize is undefined/],
    ['stride', () => new nn.Conv1d(4, 4, 3, { stride: 0 }), /stride is 0; it must be an integer of at least 1/],
    ['stride', () => new nn.Conv1d(4, 4, 3, { stride: [1, 1] }), /stride is \[1, 1\]/],
    ['padding', () => new nn.Conv1d(4, 4, 3, { padding: -1 }), /padding is -1/],
    ['padding', () => new nn.Conv1d(4, 4, 3, { padding: [1, 2, 3] }), /padding is \[1, 2, 3\]; it must have 1 or 2 entries/],
    ['padding', () => new nn.Conv2d(4, 4, 3, { padding: [1] }), /padding is \[1\]; it must have 2 entries/],
    ['padding', () => new nn.Conv1d(4, 4, 3, { padding: 'full' as 'same' }), /padding is "full"; it must be a number, a pair, 'same' or 'valid'/],
    ['padding', () => new nn.Conv1d(4, 4, 3, { padding: 'same', stride: 2 }), /padding is 'same', which needs stride 1/],
    [
      'padding',
      () => new nn.ConvTranspose1d(4, 4, 3, { padding: 'same' as 'valid' }),
      /padding is 'same'; a transposed convolution takes a number, a pair or 'valid'/,
    ],
    ['dilation', () => new nn.Conv1d(4, 4, 3, { dilation: Number.NaN }), /dilation is NaN/],
    ['groups', () => new nn.Conv1d(4, 4, 3, { groups: 3 }), /groups is 3; it must divide inChannels, which is 4/],
    ['groups', () => new nn.Conv1d(4, 6, 3, { groups: 4 }), /groups is 4; it must divide outChannels, which is 6/],
    ['groups', () => new nn.ConvTranspose1d(6, 4, 3, { groups: 6 }), /groups is 6; it must divide outChannels/],
    ['groups', () => new nn.Conv1d(4, 6, 3, { groups: -1 }), /groups is -1/],
    ['bias', () => new nn.Conv1d(4, 4, 3, { bias: 1 as unknown as boolean }), /bias is 1; it must be true or false/],
    [
      'paddingMode',
      () => new nn.Conv1d(4, 4, 3, { paddingMode: 'mirror' as 'zeros' }),
      /paddingMode is "mirror"; it must be one of zeros, reflect, replicate, circular/,
    ],
    [
      'paddingMode',
      () => new nn.ConvTranspose1d(4, 4, 3, { paddingMode: 'reflect' } as never),
      /paddingMode is "reflect"; a transposed convolution takes only 'zeros'/,
    ],
    ['outputPadding', () => new nn.Conv1d(4, 4, 3, { outputPadding: 1 } as never), /outputPadding is 1; it belongs to transposed convolutions/],
    [
      'outputPadding',
      () => new nn.ConvTranspose1d(4, 4, 3, { outputPadding: 2, stride: 2 }),
      /outputPadding is 2; it must be smaller than the stride \(2\) or the dilation \(1\)/,
    ],
    ['layout', () => new nn.Conv1d(4, 4, 3, { layout: 'tf' as nn.Layout }), /layout is "tf"; it must be 'torch' or 'mlx'/],
    ['layout', () => new nn.Linear(4, 4, { layout: 'tf' as nn.Layout }), /layout is "tf"/],
    ['algorithm', () => new nn.Conv1d(4, 4, 3, { algorithm: 'fft' as 'auto' }), /algorithm is "fft"; it must be 'auto' or 'direct'/],
    ['seed', () => new nn.Conv1d(4, 4, 3, { seed: -1 }), /seed is -1; it must be an integer from 0 to 2\^53 - 1/],
    ['init', () => new nn.Linear(4, 4, { init: 'ones' as 'zeros' }), /init is "ones"; it must be 'uniform' or 'zeros'/],
    ['inFeatures', () => new nn.Linear(-4, 4), /inFeatures is -4/],
    ['outFeatures', () => new nn.WeightNormLinear(4, '4' as unknown as number), /outFeatures is "4"/],
    ['dim', () => new nn.WeightNormConv1d(4, 4, 3, { dim: -4 }), /dim is -4/],
    ['axes', () => new nn.WeightNormLinear(4, 4, { axes: [0, 0] }), /axes is \[0, 0\]; each axis may be named once/],
    ['dim and axes', () => new nn.WeightNormConv2d(4, 4, 3, { dim: 0, axes: [1] }), /dim and axes were both given/],
    ['eps', () => new nn.WeightNormConvTranspose2d(4, 4, 3, { eps: Number.POSITIVE_INFINITY }), /eps is Infinity/],
    ['slope', () => new nn.LeakyReLU(Number.NaN), /slope is NaN; it must be a finite number/],
    ['alpha', () => new nn.ELU('1' as unknown as number), /alpha is "1"/],
    ['channels', () => new nn.Snake(0), /channels is 0/],
    ['logScale', () => new nn.Snake(2, { logScale: 1 as unknown as boolean }), /logScale is 1/],
    ['modules', () => new nn.Sequential(new nn.ReLU(), {} as nn.Module), /modules\[1\] is a Object; it must be a Module/],
  ])('a bad %s is refused by name', (_name, make, message) => {
    expectError(make, 'ERR_ARGUMENT', message);
  });

  test('a bad device or dtype is refused', () => {
    expectError(() => new nn.Linear(2, 2, { device: 'cpu' as never }), 'ERR_DEVICE', /device is "cpu"; it must be a Device/);
    expectError(() => new nn.Linear(2, 2, { device, dtype: 'float64' as DType }), 'ERR_DTYPE', /dtype is "float64"/);
    expectError(() => new nn.Snake(2, { device, dtype: 'int8' as DType }), 'ERR_DTYPE', /dtype is "int8"/);
  });

  test('a layer past memory is refused, and the device goes on', async () => {
    expectError(() => new nn.Linear(2 ** 24, 2 ** 24, { device }), 'ERR_MEMORY', /memory/);
    expectError(() => new nn.Linear(2 ** 24, 2 ** 24, { device, init: 'zeros' }), 'ERR_MEMORY', /./);
    await new nn.Linear(2, 2, { device }).forward(device.ones([1, 2])).read();
  });

  test('bad inputs of forward are refused by name', () => {
    const conv = new nn.Conv1d(4, 6, 3, { device });
    expectError(() => conv.forward(device.ones([4, 9])), 'ERR_SHAPE', /Conv1d: x has shape \[4, 9\]; it must be \[N, C, L\]/);
    expectError(() => new nn.Conv2d(4, 6, 3, { device }).forward(x), 'ERR_SHAPE', /Conv2d: x has shape \[2, 4, 9\]; it must be \[N, C, H, W\]/);
    expectError(() => new nn.Conv2d(4, 6, 3, { device, layout: 'mlx' }).forward(x), 'ERR_SHAPE', /it must be \[N, H, W, C\]/);
    expectError(() => conv.forward(device.ones([2, 5, 9])), 'ERR_SHAPE', /x has 5 channels; a weight of shape \[6, 4, 3\] with groups 1 takes 4/);
    expectError(() => conv.forward(device.ones([2, 4, 2])), 'ERR_SHAPE', /shorter than the kernel/);
    expectError(() => conv.forward(x.to('float16')), 'ERR_DTYPE', /float16/);
    expectError(() => conv.forward(null as unknown as Tensor), 'ERR_ARGUMENT', /x is null; it must be a Tensor/);
    expectError(() => new nn.ConvTranspose1d(4, 6, 3, { device, padding: 8 }).forward(device.ones([1, 4, 3])), 'ERR_SHAPE', /padding is too large/);
    expectError(() => new nn.Linear(5, 2, { device }).forward(x), 'ERR_SHAPE', /linear: x has 9 features; a weight of shape \[2, 5\] takes 5/);
    expectError(() => new nn.Snake(5, { device }).forward(x), 'ERR_SHAPE', /alpha has shape \[1, 5, 1\]; for 4 channels/);
    const gone = device.ones([2, 4, 9]);
    gone.dispose();
    for (const layer of [conv, new nn.ReLU(), new nn.Sequential(), new nn.Linear(9, 2, { device }), new nn.Snake(4, { device, layout: 'mlx' })]) {
      expectError(() => layer.forward(gone), 'ERR_DISPOSED', /x was disposed/);
    }
    (conv as unknown as { weight: unknown }).weight = undefined;
    expectError(() => conv.forward(x), 'ERR_ARGUMENT', /weight is undefined; it must be a Tensor/);
  });

  test('activations as layers are the functions', async () => {
    const pairs: [nn.Module, Tensor][] = [
      [new nn.LeakyReLU(0.2), F.leakyRelu(x, 0.2)],
      [new nn.LeakyReLU(), F.leakyRelu(x)],
      [new nn.ReLU(), F.relu(x)],
      [new nn.ELU(0.7), F.elu(x, 0.7)],
      [new nn.GELU(), F.gelu(x)],
      [new nn.SiLU(), F.silu(x)],
      [new nn.Sigmoid(), F.sigmoid(x)],
      [new nn.Tanh(), F.tanh(x)],
      [new nn.Snake(4, { device }), F.snake(x, device.ones([4]))],
      [new nn.Snake(4, { device, logScale: true }), F.snake(x, device.zeros([4]), { logScale: true })],
    ];
    for (const [layer, expected] of pairs) expect(await layer.forward(x).read()).toEqual(await expected.read());
  });

  test('Snake loads an alpha of any spelling', async () => {
    for (const shape of [[4], [1, 4, 1], [1, 1, 4]]) {
      const snake = new nn.Snake(4, { device });
      snake.loadStateDict(new Map([['alpha', device.tensor([0.5, 1, 2, 4], { shape })]]));
      expect(snake.alpha.shape).toEqual([1, 4, 1]);
      expect([...(await snake.alpha.read())]).toEqual([0.5, 1, 2, 4]);
    }
  });
});
