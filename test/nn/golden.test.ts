import { type Device, nn, scope, type Tensor } from 'weightnorm';
import { layerTolerance, relativeError } from '../support/conv-reference';
import { devices } from '../support/devices';
import { type GoldenCase, type GoldenTensor, goldenCases, readGolden } from '../support/golden';
import { ulp } from '../support/random';

const golden = readGolden('torch.safetensors');
const cases = goldenCases().filter((item) => item.op === 'module');
const names: Record<string, string> = {
  in_features: 'in',
  out_features: 'out',
  in_channels: 'in',
  out_channels: 'out',
  kernel_size: 'kernel',
  padding_mode: 'paddingMode',
  output_padding: 'outputPadding',
};

type Options = Record<string, unknown> & { in: number; out: number; kernel: number | number[] };

function build(item: GoldenCase, normed: boolean, device: Device): nn.Module {
  const o = Object.fromEntries(Object.entries(item.options ?? {}).map(([key, value]) => [names[key] ?? key, value])) as Options;
  const { in: inputs, out, kernel, ...options } = o;
  const layers = nn as unknown as Record<string, new (...args: unknown[]) => nn.Module>;
  const Layer = layers[`${normed ? 'WeightNorm' : ''}${item.module}`] as new (...args: unknown[]) => nn.Module;
  const extra = { ...options, device, ...(normed ? { dim: item.dim } : {}) };
  return item.module === 'Linear' ? new Layer(inputs, out, extra) : new Layer(inputs, out, kernel, extra);
}

function load(item: GoldenCase, device: Device, keys: string[]): Map<string, Tensor> {
  return new Map(keys.filter((key) => golden.has(`${item.name}/${key}`)).map((key) => [key, tensor(item, key, device)]));
}

function tensor(item: GoldenCase, key: string, device: Device): Tensor {
  const { data, shape } = golden.get(`${item.name}/${key}`) as GoldenTensor;
  return device.tensor(data, { shape });
}

function expected(item: GoldenCase, key: string): GoldenTensor {
  return golden.get(`${item.name}/${key}`) as GoldenTensor;
}

/** Terms summed for one output element: an upper bound is enough to choose the tolerance, exact for these sizes. */
const tolerance = layerTolerance(4096, 'float32');

describe.each(devices)('golden modules on %s', (_, device) => {
  test('there are modules of every kind', () => {
    expect(new Set(cases.map((item) => item.module))).toEqual(new Set(['Linear', 'Conv1d', 'Conv2d', 'ConvTranspose1d', 'ConvTranspose2d']));
  });

  describe.each(cases.map((item): [string, GoldenCase] => [item.name, item]))('%s', (_name, item) => {
    const y = expected(item, 'y');

    test("with torch's g and v it computes torch's output", async () => {
      const layer = build(item, true, device);
      layer.loadStateDict(load(item, device, ['weight_g', 'weight_v', 'bias']));
      const actual = layer.forward(tensor(item, 'x', device));
      expect(actual.shape).toEqual(y.shape);
      expect(relativeError(await actual.read(), y.data)).toBeLessThanOrEqual(tolerance);
    });

    test("a plain layer that is weight-normed gets torch's g and keeps its output bit for bit", async () => {
      const layer = build(item, false, device);
      layer.loadStateDict(new Map([['weight', tensor(item, 'w_init', device)], ...load(item, device, ['bias'])]));
      const x = tensor(item, 'x', device);
      const before = await layer.forward(x).read();
      nn.weightNorm(layer, { dim: item.dim ?? null });
      const g = (layer as unknown as { weight_g: Tensor }).weight_g;
      const init = expected(item, 'g_init');
      expect(g.shape).toEqual(init.shape);
      // torch's own float32 norm is the looser of the two.
      (await g.read()).forEach((value, i) => void expect(Math.abs(value - (init.data[i] as number))).toBeLessThanOrEqual(4 * ulp(init.data[i] as number)));
      expect(await layer.forward(x).read()).toEqual(before);
    });

    test("folded it has torch's weight and the same output", async () => {
      const layer = build(item, true, device);
      layer.loadStateDict(load(item, device, ['weight_g', 'weight_v', 'bias']));
      expect(nn.foldWeightNorm(layer)).toEqual(['']);
      const weight = layer.namedParameters().get('weight') as Tensor;
      const torch = expected(item, 'weight');
      expect(weight.shape).toEqual(torch.shape);
      // 4 ulp for the weight itself and as many for torch's, which is float32 too.
      (await weight.read()).forEach(
        (value, i) => void expect(Math.abs(value - (torch.data[i] as number))).toBeLessThanOrEqual(8 * ulp(torch.data[i] as number)),
      );
      expect(relativeError(await layer.forward(tensor(item, 'x', device)).read(), y.data)).toBeLessThanOrEqual(tolerance);
    });

    test("from a plain checkpoint g and v follow, and give torch's output", async () => {
      const layer = build(item, true, device);
      layer.loadStateDict(new Map([['weight', tensor(item, 'weight', device)], ...load(item, device, ['bias'])]));
      expect(relativeError(await layer.forward(tensor(item, 'x', device)).read(), y.data)).toBeLessThanOrEqual(tolerance);
    });

    test('a plain layer takes g and v, folded', async () => {
      const layer = build(item, false, device);
      layer.loadStateDict(load(item, device, ['weight_g', 'weight_v', 'bias']));
      expect(relativeError(await layer.forward(tensor(item, 'x', device)).read(), y.data)).toBeLessThanOrEqual(tolerance);
    });
  });

  describe.each(['checkpoint_weight_g_v.safetensors', 'checkpoint_parametrizations.safetensors'])('%s', (file) => {
    const stored = readGolden(file);
    const of = (key: string): Tensor => {
      const { data, shape } = stored.get(key) as GoldenTensor;
      return device.tensor(data, { shape });
    };
    const state = (): Map<string, Tensor> => new Map([...stored.keys()].filter((key) => !key.startsWith('__')).map((key) => [key, of(key)]));
    const y = stored.get('__y') as GoldenTensor;

    function model(normed: boolean): nn.Sequential {
      const [Conv, Up] = normed ? [nn.WeightNormConv1d, nn.WeightNormConvTranspose1d] : [nn.Conv1d, nn.ConvTranspose1d];
      return new nn.Sequential(
        new Conv(8, 16, 7, { padding: 3, device }),
        new nn.LeakyReLU(0.1),
        new Up(16, 8, 8, { stride: 4, padding: 2, device }),
        new nn.LeakyReLU(0.1),
        new Conv(8, 1, 7, { padding: 3, device }),
        new nn.Tanh(),
      );
    }

    test.each([true, false])("gives torch's output in a model whose layers are weight-normed: %s", async (normed) => {
      const net = model(normed);
      expect(net.loadStateDict(state())).toEqual({ missing: [], unexpected: [] });
      const out = net.forward(of('__x'));
      expect(out.shape).toEqual(y.shape);
      expect(relativeError(await out.read(), y.data)).toBeLessThanOrEqual(tolerance);
    });

    test('folds to the same plain weights however it is read', async () => {
      const [normed, plain] = [model(true), model(false)];
      normed.loadStateDict(state());
      plain.loadStateDict(state());
      expect(nn.foldWeightNorm(normed)).toEqual(['0', '2', '4']);
      for (const [name, tensor] of plain.namedParameters()) {
        expect(await (normed.namedParameters().get(name) as Tensor).read()).toEqual(await tensor.read());
      }
    });
  });

  test('the golden activations as layers', async () => {
    const layers: Record<string, () => nn.Module> = {
      tanh: () => new nn.Tanh(),
      elu: () => new nn.ELU(),
      gelu: () => new nn.GELU(),
      leaky_relu: () => new nn.LeakyReLU(0.1),
    };
    const found = goldenCases().filter((item) => item.op === 'activation');
    expect(found.length).toBeGreaterThan(0);
    for (const item of found) {
      const x = tensor(item, 'x', device);
      let layer: nn.Module;
      if (item.activation === 'snake') {
        layer = new nn.Snake(x.shape[1] as number, { device });
        layer.loadStateDict(load(item, device, ['alpha']));
      } else {
        layer = (layers[item.activation as string] as () => nn.Module)();
      }
      expect(relativeError(await scope(() => layer.forward(x)).read(), expected(item, 'y').data)).toBeLessThanOrEqual(1e-6);
    }
  });
});
