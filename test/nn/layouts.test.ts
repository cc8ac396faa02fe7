import { nn, type Tensor } from 'weightnorm';
import { relativeError } from '../support/conv-reference';
import { devices } from '../support/devices';
import { expectError } from '../support/errors';
import { values } from '../support/random';
import { perturbGains } from '../support/signal';

describe.each(devices)('layouts on %s', (_, device) => {
  const toMlx = (x: Tensor): Tensor => nn.convertLayout(x, 'torch', 'mlx');
  const toTorch = (x: Tensor): Tensor => nn.convertLayout(x, 'mlx', 'torch');
  const x1 = device.tensor(values(2 * 4 * 9, 7), { shape: [2, 4, 9] });
  const x2 = device.tensor(values(2 * 4 * 6 * 5, 8), { shape: [2, 4, 6, 5] });

  const layers: [string, (layout: nn.Layout, o: Record<string, unknown>) => nn.ConvLayer, Tensor][] = [
    ['Conv1d', (layout, o) => new nn.WeightNormConv1d(4, 6, 3, { device, layout, padding: [2, 1], stride: 2, ...o }), x1],
    ['Conv1d of groups', (layout, o) => new nn.WeightNormConv1d(4, 6, 3, { device, layout, groups: 2, paddingMode: 'reflect', padding: 1, ...o }), x1],
    ['Conv2d', (layout, o) => new nn.WeightNormConv2d(4, 6, [3, 2], { device, layout, padding: [[1, 0], 1], ...o }), x2],
    ['ConvTranspose1d', (layout, o) => new nn.WeightNormConvTranspose1d(4, 6, 4, { device, layout, stride: 3, padding: [1, 0], outputPadding: 1, ...o }), x1],
    ['ConvTranspose1d of groups', (layout, o) => new nn.WeightNormConvTranspose1d(4, 6, 4, { device, layout, stride: 2, groups: 2, ...o }), x1],
    ['ConvTranspose2d of groups', (layout, o) => new nn.WeightNormConvTranspose2d(4, 8, [2, 3], { device, layout, stride: [2, 1], groups: 4, ...o }), x2],
  ];

  describe.each(layers)('%s', (_name, make, x) => {
    test.each([[{}], [{ dim: 1 }], [{ dim: -1 }], [{ dim: null }], [{ axes: [0, 2] }]])('with %j it computes the same in both layouts', async (axes) => {
      const torch = make('torch', { ...axes, seed: 5 });
      const mlx = make('mlx', { ...axes, seed: 5 });
      const y = await torch.forward(x).read();
      expect(await toTorch(mlx.forward(toMlx(x))).read()).toEqual(y);
      perturbGains(torch);
      mlx.loadStateDict(torch.stateDict());
      const changed = torch.forward(x);
      const actual = mlx.forward(toMlx(x));
      expect(actual.shape).toEqual(toMlx(changed).shape);
      expect(await toTorch(actual).read()).toEqual(await changed.read());
      nn.foldWeightNorm(torch);
      nn.foldWeightNorm(mlx);
      expect(await toTorch(mlx.forward(toMlx(x))).read()).toEqual(await torch.forward(x).read());
      const folded = torch.stateDict().get('weight') as Tensor;
      expect(await (mlx.stateDict().get('weight') as Tensor).read()).toEqual(await folded.read());
    });

    test('a plain weight of layout mlx that is rewritten or replaced is seen', async () => {
      const [torch, mlx] = [make('torch', { seed: 1 }), make('mlx', { seed: 1 })];
      nn.foldWeightNorm(torch);
      nn.foldWeightNorm(mlx);
      mlx.forward(toMlx(x));
      torch.weight.write(values(torch.weight.size, 21));
      mlx.weight.write(await (torch.stateDict({ layout: 'mlx' }).get('weight') as Tensor).read());
      expect(await toTorch(mlx.forward(toMlx(x))).read()).toEqual(await torch.forward(x).read());
      mlx.weight = mlx.weight.clone();
      torch.weight.write(values(torch.weight.size, 22));
      mlx.weight.write(await (torch.stateDict({ layout: 'mlx' }).get('weight') as Tensor).read());
      expect(await toTorch(mlx.forward(toMlx(x))).read()).toEqual(await torch.forward(x).read());
    });
  });

  test('weights and g take the shape the layout gives them', () => {
    const conv = new nn.WeightNormConv1d(4, 6, 3, { device, layout: 'mlx', groups: 2 });
    expect([conv.weight_v.shape, conv.weight_g.shape, conv.weight.shape]).toEqual([
      [6, 3, 2],
      [6, 1, 1],
      [6, 3, 2],
    ]);
    const last = new nn.WeightNormConv2d(4, 6, [3, 5], { device, layout: 'mlx', dim: -1 });
    expect([last.weight_v.shape, last.weight_g.shape]).toEqual([
      [6, 3, 5, 4],
      [1, 1, 5, 1],
    ]);
    const up = new nn.WeightNormConvTranspose1d(4, 6, 5, { device, layout: 'mlx' });
    expect([up.weight_v.shape, up.weight_g.shape, up.weight.shape]).toEqual([
      [6, 5, 4],
      [1, 1, 4],
      [6, 5, 4],
    ]);
    const grouped = new nn.WeightNormConvTranspose1d(4, 6, 5, { device, layout: 'mlx', groups: 2 });
    expect([grouped.weight_v.shape, grouped.weight_g.shape]).toEqual([
      [6, 5, 2],
      [1, 1, 4],
    ]);
  });

  test('a g of the wrong shape is refused in the words of the layout', () => {
    const up = new nn.WeightNormConvTranspose1d(4, 6, 5, { device, layout: 'mlx' });
    up.weight_g = device.ones([4, 1, 1]);
    expectError(() => up.forward(toMlx(x1)), 'ERR_SHAPE', /weight_g has shape \[4, 1, 1\]; for weight_v of shape \[6, 5, 4\] it must be \[1, 1, 4\]/);
  });

  test('residual, running sum and fused activations are in the layer’s layout', async () => {
    const make = (layout: nn.Layout): nn.Conv1d => new nn.Conv1d(4, 4, 3, { device, layout, padding: 1, seed: 2 });
    const [torch, mlx] = [make('torch'), make('mlx')];
    const [residual, running] = [values(72, 1), values(72, 2)].map((data) => device.tensor(data, { shape: [2, 4, 9] })) as [Tensor, Tensor];
    const around = { pre: { kind: 'leakyRelu', param: 0.1 }, post: { kind: 'tanh' }, outScale: 0.5 } as const;
    const expected = torch.fused(x1, { ...around, residual, running });
    const actual = mlx.fused(toMlx(x1), { ...around, residual: toMlx(residual), running: toMlx(running) });
    expect(await toTorch(actual).read()).toEqual(await expected.read());
  });

  test('Snake follows the layout, alone and beside a convolution', async () => {
    const snakes = (['torch', 'mlx'] as const).map((layout) => new nn.Snake(4, { device, layout })) as [nn.Snake, nn.Snake];
    for (const snake of snakes) snake.alpha.write([0.3, 1, 2, 3.5]);
    expect(await toTorch(snakes[1].forward(toMlx(x1))).read()).toEqual(await snakes[0].forward(x1).read());
    const [torch, mlx] = (['torch', 'mlx'] as const).map(
      (layout, i) => new nn.Sequential(snakes[i] as nn.Snake, new nn.Conv1d(4, 4, 3, { device, layout, seed: 3 })),
    ) as [nn.Sequential, nn.Sequential];
    const y = await torch.forward(x1).read();
    expect(relativeError(await toTorch(mlx.forward(toMlx(x1))).read(), y)).toBe(0);
    // One layout each: the activation must stay outside.
    const square = device.tensor(values(16, 3), { shape: [1, 4, 4] });
    const split = new nn.Sequential(snakes[1], torch.at(1));
    const apart = await torch.at(1).forward(snakes[1].forward(square)).read();
    expect(relativeError(await split.forward(square).read(), apart)).toBe(0);
  });

  test('converting data there and back, and what cannot be converted', async () => {
    expect(toMlx(x2).shape).toEqual([2, 6, 5, 4]);
    expect(await toTorch(toMlx(x2)).read()).toEqual(await x2.read());
    const weight = device.tensor(values(4 * 3 * 5, 1), { shape: [4, 3, 5] });
    const order = { spatial: 1, transposed: true, groups: 2 };
    const moved = nn.convertWeight(weight, 'torch', 'mlx', order);
    expect(moved.shape).toEqual([6, 5, 2]);
    expect(await nn.convertWeight(moved, 'mlx', 'torch', order).read()).toEqual(await weight.read());
    // Group 1, output 2 of 3, tap 4, input 1 of 2 of that group.
    expect((await moved.read())[(5 * 5 + 4) * 2 + 1]).toBe((await weight.read())[(3 * 3 + 2) * 5 + 4]);
    expectError(() => toMlx(device.ones([2, 3])), 'ERR_SHAPE', /x has shape \[2, 3\]; layouts are of data of rank 3/);
    expectError(() => nn.convertLayout(x1, 'torch', 'nlc' as nn.Layout), 'ERR_ARGUMENT', /to is "nlc"; it must be 'torch' or 'mlx'/);
    expectError(
      () => nn.convertWeight(device.ones([3, 3, 5]), 'torch', 'mlx', order),
      'ERR_SHAPE',
      /weight has shape \[3, 3, 5\]; .* 2 groups has rank 3 and whole groups/,
    );
    expectError(() => nn.convertWeight(x2, 'torch', 'mlx', order), 'ERR_SHAPE', /weight has shape \[2, 4, 6, 5\]/);
  });
});
