import { functional as F, nn, scope, type Tensor } from 'weightnorm';
import { relativeError } from '../support/conv-reference';
import { devices } from '../support/devices';
import { expectError } from '../support/errors';
import { ulp, values } from '../support/random';

describe.each(devices)('weightNorm, removeWeightNorm and foldWeightNorm on %s', (_, device) => {
  const x = device.tensor(values(2 * 4 * 9, 7), { shape: [2, 4, 9] });
  const names = (module: nn.Module): string[] => [...module.namedParameters().keys()];

  test('wrapping keeps the module, its class and its output; removing restores the names', async () => {
    const conv = new nn.Conv1d(4, 6, 3, { device });
    const before = await conv.forward(x).read();
    const weight = await conv.weight.read();
    expect(nn.weightNorm(conv)).toBe(conv);
    expect(conv).toBeInstanceOf(nn.Conv1d);
    expect(names(conv).sort()).toEqual(['bias', 'weight_g', 'weight_v']);
    expect(await conv.forward(x).read()).toEqual(before);
    expect(await conv.weight.read()).toEqual(weight);
    expect(nn.removeWeightNorm(conv)).toBe(conv);
    expect(names(conv).sort()).toEqual(['bias', 'weight']);
    expect(await conv.weight.read()).toEqual(weight);
    expect(await conv.forward(x).read()).toEqual(before);
  });

  test.each([
    [{ dim: 0 }, [6, 1, 1]],
    [{ dim: -1 }, [1, 1, 3]],
    [{ dim: 1 }, [1, 4, 1]],
    [{ dim: null }, []],
    [{ axes: [1, 2] }, [6, 1, 1]],
    [{ axes: [0] }, [1, 4, 3]],
    [{ axes: [0, 1, 2] }, [1, 1, 1]],
  ])('g of %j has shape %j, the norm over the other axes', async (axes, shape) => {
    const conv = new nn.Conv1d(4, 6, 3, { device });
    const [weight, before] = [conv.weight.clone(), await conv.forward(x).read()];
    nn.weightNorm(conv, axes);
    const { weight_g: g } = conv as unknown as { weight_g: Tensor };
    expect(g.shape).toEqual(shape);
    expect(await g.read()).toEqual(await F.norm(weight, axes).read());
    expect(relativeError(await conv.forward(x).read(), before)).toBeLessThanOrEqual(3e-7);
  });

  test('folding gives w = g·v/‖v‖ rounded to the dtype, and the layer goes on as a plain one', async () => {
    for (const dtype of ['float32', 'float16', 'bfloat16'] as const) {
      const conv = new nn.WeightNormConv1d(4, 6, 3, { device, dtype });
      conv.weight_g = device.tensor(values(6, 5), { shape: [6, 1, 1] });
      const expected = await F.weightNorm(conv.weight_v, conv.weight_g).read();
      const [g, v] = [conv.weight_g, conv.weight_v];
      const half = x.to(dtype);
      const before = await conv.forward(half).read();
      expect(nn.foldWeightNorm(conv)).toEqual(['']);
      expect(conv).toBeInstanceOf(nn.WeightNormConv1d);
      expect([g.disposed, v.disposed]).toEqual([true, true]);
      expect(conv.weight.dtype).toBe(dtype);
      expect(await conv.weight.read()).toEqual(expected);
      const tolerance = dtype === 'float32' ? 1e-6 : 4 * ulp(1, dtype);
      expect(relativeError(await conv.forward(half).read(), before)).toBeLessThanOrEqual(tolerance);
      expect(nn.foldWeightNorm(conv)).toEqual([]);
      conv.loadStateDict(conv.stateDict());
    }
  });

  test('a folded layer can be weight-normed again, with another dim', async () => {
    const conv = new nn.WeightNormConv1d(4, 6, 3, { device });
    const before = await conv.forward(x).read();
    nn.foldWeightNorm(conv);
    nn.weightNorm(conv, { dim: null });
    expect(conv.weight_g.shape).toEqual([]);
    expect(relativeError(await conv.forward(x).read(), before)).toBeLessThanOrEqual(1e-6);
  });

  test('folding a tree names its layers, shared ones once, and leaves the output', async () => {
    const shared = new nn.WeightNormConv1d(6, 6, 3, { device, padding: 1 });
    const net = new nn.Sequential(
      new nn.WeightNormConv1d(4, 6, 3, { device }),
      shared,
      new nn.ELU(),
      shared,
      new nn.Sequential(new nn.WeightNormConvTranspose1d(6, 2, 4, { device, stride: 2 })),
      new nn.Conv1d(2, 1, 1, { device }),
    );
    const before = await net.forward(x).read();
    expect(nn.foldWeightNorm(net)).toEqual(['0', '1', '4.0']);
    expect(relativeError(await net.forward(x).read(), before)).toBeLessThanOrEqual(1e-6);
    expect(nn.foldWeightNorm(net)).toEqual([]);
  });

  test('folding is all or nothing', () => {
    const net = new nn.Sequential(new nn.WeightNormConv1d(4, 6, 3, { device }), new nn.WeightNormConv1d(6, 4, 3, { device }));
    const broken = net.at(1) as nn.WeightNormConv1d;
    const good = broken.weight_g;
    broken.weight_g = device.ones([1, 1, 1]);
    const { tensors } = device.memory();
    expectError(() => nn.foldWeightNorm(net), 'ERR_SHAPE', /weight_g has shape \[1, 1, 1\]/);
    expect(device.memory().tensors).toBe(tensors);
    broken.weight_g = good;
    expect(nn.foldWeightNorm(net)).toEqual(['0', '1']);
  });

  class Custom extends nn.Module {
    kernel: Tensor = device.tensor(values(20, 1), { shape: [4, 5] });
    gate: Tensor = device.tensor(values(4, 2));
    override forward(input: Tensor): Tensor {
      return F.mul(F.matmul(input, this.kernel), 2);
    }
  }

  test('any module that holds a tensor can be normed, under that name', async () => {
    const module = new Custom();
    const input = device.tensor(values(8, 3), { shape: [2, 4] });
    const before = await module.forward(input).read();
    nn.weightNorm(module, { name: 'kernel', dim: 1 });
    nn.weightNorm(module, { name: 'gate', dim: null });
    expect(names(module).sort()).toEqual(['gate_g', 'gate_v', 'kernel_g', 'kernel_v']);
    expect(relativeError(await module.forward(input).read(), before)).toBeLessThanOrEqual(3e-7);
    const { kernel_g: g } = module as unknown as { kernel_g: Tensor };
    expect(g.shape).toEqual([1, 5]);
    g.write((await g.read()).map((value) => 3 * value));
    expect(
      relativeError(
        await module.forward(input).read(),
        before.map((value) => 3 * value),
      ),
    ).toBeLessThanOrEqual(3e-7);
    const kernel = module.kernel;
    expect(module.kernel).toBe(kernel);
    scope(() => void module.forward(input));
    expect(kernel.disposed).toBe(false);
    expect(nn.foldWeightNorm(new nn.Sequential(module))).toEqual(['0.kernel', '0.gate']);
    expect(names(module).sort()).toEqual(['gate', 'kernel']);
  });

  test('the bias of a layer can be normed as well', async () => {
    const layer = new nn.Linear(4, 5, { device });
    const input = device.tensor(values(8, 3), { shape: [2, 4] });
    const before = await layer.forward(input).read();
    nn.weightNorm(layer, { name: 'bias', dim: null });
    expect(relativeError(await layer.forward(input).read(), before)).toBeLessThanOrEqual(3e-7);
  });

  test('what cannot be normed says why', () => {
    const conv = new nn.WeightNormConv1d(4, 6, 3, { device });
    expectError(() => nn.weightNorm(conv), 'ERR_ALREADY_WEIGHT_NORMED', /weight of WeightNormConv1d is weight-normed already/);
    expectError(() => nn.weightNorm(new nn.ReLU()), 'ERR_ARGUMENT', /ReLU holds no Tensor named "weight"; it holds none/);
    expectError(() => nn.weightNorm(new nn.Linear(2, 2, { device }), { name: 'kernel' }), 'ERR_ARGUMENT', /no Tensor named "kernel"; it holds weight, bias/);
    expectError(() => nn.weightNorm({} as nn.Module), 'ERR_ARGUMENT', /module is a Object; it must be a Module/);
    expectError(() => nn.weightNorm(new nn.Linear(2, 2, { device }), { name: 3 as unknown as string }), 'ERR_ARGUMENT', /name is 3/);
    expectError(() => nn.foldWeightNorm(7 as unknown as nn.Module), 'ERR_ARGUMENT', /root is 7; it must be a Module/);
    const plain = new nn.Conv1d(4, 6, 3, { device });
    expectError(() => nn.removeWeightNorm(plain), 'ERR_NOT_WEIGHT_NORMED', /"weight" of Conv1d is not weight-normed/);
    expectError(() => nn.removeWeightNorm(conv, { name: 'bias' }), 'ERR_NOT_WEIGHT_NORMED', /"bias" of WeightNormConv1d is not weight-normed/);
    expectError(() => nn.weightNorm(plain, { dim: 3 }), 'ERR_ARGUMENT', /dim is 3; for a tensor of rank 3 it must be an integer from -3 to 2/);
    expectError(() => nn.weightNorm(plain, { axes: [] }), 'ERR_ARGUMENT', /axes is \[\]; it must name at least one axis/);
    expectError(() => nn.weightNorm(plain, { axes: [1, -2] }), 'ERR_ARGUMENT', /each axis may be named once/);
    expectError(() => nn.weightNorm(plain, { dim: 0, axes: [1] }), 'ERR_ARGUMENT', /dim and axes were both given/);
    expectError(() => nn.weightNorm(plain, { eps: -1 }), 'ERR_ARGUMENT', /eps is -1/);
    expectError(() => nn.weightNorm(plain, { eps: Number.NaN }), 'ERR_ARGUMENT', /eps is NaN/);
    expect(names(plain).sort()).toEqual(['bias', 'weight']);
    plain.forward(x);
    expectError(
      () => {
        conv.weight = device.ones([6, 4, 3]);
      },
      'ERR_STATE',
      /weight cannot be set .* set those, or call removeWeightNorm first/,
    );
  });
});
