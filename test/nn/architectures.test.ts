import { functional as F, nn, scope, type Tensor } from 'weightnorm';
import { relativeError } from '../support/conv-reference';
import { devices } from '../support/devices';
import { values } from '../support/random';
import { add, crop, elu, mul, parametersOf, perturbGains, ReferenceNet, reflect, type Signal, signal, tanh } from '../support/signal';

/** Float32 through a dozen layers, each within 3e-6. */
const tolerance = 1e-5;

describe.each(devices)('codec networks as plain subclasses on %s', (_, device) => {
  async function agree(model: nn.Module, x: Tensor, reference: (net: ReferenceNet, x: Signal) => Signal): Promise<void> {
    perturbGains(model);
    const input = await signal(x);
    const before = reference(new ReferenceNet(await parametersOf(model)), input);
    const check = async (expected: Signal): Promise<void> => {
      const y = scope(() => model.forward(x));
      expect(y.shape).toEqual(expected.shape);
      expect(relativeError(await y.read(), expected.data)).toBeLessThanOrEqual(tolerance);
    };
    await check(before);
    // New gains are seen by every layer, and folding changes nothing.
    perturbGains(model);
    const after = reference(new ReferenceNet(await parametersOf(model)), input);
    expect(relativeError(after.data, before.data)).toBeGreaterThan(0.01);
    await check(after);
    expect(nn.foldWeightNorm(model).length).toBeGreaterThan(5);
    await check(after);
  }

  /** EnCodec's causal convolution: reflects on the left, and on the right as far as the last stride needs. */
  class CausalConv extends nn.Module {
    conv: nn.WeightNormConv1d;
    constructor(
      inputs: number,
      outputs: number,
      readonly kernel: number,
      readonly stride = 1,
      readonly dilation = 1,
    ) {
      super();
      this.conv = new nn.WeightNormConv1d(inputs, outputs, kernel, { stride, dilation, device, seed: inputs + outputs + kernel });
    }
    static padding(length: number, kernel: number, stride: number, dilation: number): [number, number] {
      const left = (kernel - 1) * dilation - (stride - 1);
      const frames = Math.ceil((length - (kernel - 1) * dilation - 1 + left) / stride) + 1;
      return [left, Math.max(0, (frames - 1) * stride + (kernel - 1) * dilation + 1 - left - length)];
    }
    override forward(x: Tensor): Tensor {
      return this.conv.forward(F.pad(x, CausalConv.padding(x.shape[2] as number, this.kernel, this.stride, this.dilation), { mode: 'reflect' }));
    }
  }

  class SeanetResidual extends nn.Module {
    block: nn.Module[];
    shortcut: CausalConv;
    constructor(channels: number, dilation: number) {
      super();
      this.block = [new nn.ELU(), new CausalConv(channels, channels / 2, 3, 1, dilation), new nn.ELU(), new CausalConv(channels / 2, channels, 1)];
      this.shortcut = new CausalConv(channels, channels, 1);
    }
    override forward(x: Tensor): Tensor {
      return F.add(
        this.shortcut.forward(x),
        this.block.reduce((y, layer) => layer.forward(y), x),
      );
    }
  }

  class SeanetEncoder extends nn.Module {
    model: nn.Sequential;
    constructor(ratios: readonly number[]) {
      super();
      const layers: nn.Module[] = [new CausalConv(1, 4, 7)];
      let channels = 4;
      for (const ratio of ratios) {
        layers.push(new SeanetResidual(channels, 2), new nn.ELU(), new CausalConv(channels, 2 * channels, 2 * ratio, ratio));
        channels *= 2;
      }
      this.model = new nn.Sequential(...layers, new nn.ELU(), new CausalConv(channels, 6, 7));
    }
    override forward(x: Tensor): Tensor {
      return this.model.forward(x);
    }
  }

  test('a causal SEANet encoder', async () => {
    const ratios = [2, 3];
    const encoder = new SeanetEncoder(ratios);
    const x = device.tensor(values(2 * 61, 1), { shape: [2, 1, 61] });
    await agree(encoder, x, (net, input) => {
      const causal = (name: string, y: Signal, kernel: number, stride = 1, dilation = 1): Signal =>
        net.conv(`model.${name}.conv`, reflect(y, ...CausalConv.padding(y.shape[2], kernel, stride, dilation)), { stride, dilation });
      let y = causal('0', input, 7);
      let at = 1;
      for (const ratio of ratios) {
        const inner = causal(`${at}.block.3`, elu(causal(`${at}.block.1`, elu(y), 3, 1, 2)), 1);
        y = add(causal(`${at}.shortcut`, y, 1), inner);
        y = causal(`${at + 2}`, elu(y), 2 * ratio, ratio);
        at += 3;
      }
      return causal(`${at + 1}`, elu(y), 7);
    });
  });

  test('a causal encoder answers a prefix with a prefix', async () => {
    const encoder = new SeanetEncoder([2, 3]);
    const samples = values(96, 4);
    const whole = await scope(() => encoder.forward(device.tensor(samples, { shape: [1, 1, 96] }))).read();
    const prefix = await scope(() => encoder.forward(device.tensor(samples.subarray(0, 48), { shape: [1, 1, 48] }))).read();
    for (let channel = 0; channel < 6; channel++) {
      expect(relativeError(prefix.subarray(channel * 8, channel * 8 + 8), whole.subarray(channel * 16, channel * 16 + 8))).toBeLessThanOrEqual(tolerance);
    }
  });

  class ResidualUnit extends nn.Module {
    block: nn.Sequential;
    constructor(channels: number, dilation: number, groups: number) {
      super();
      this.block = new nn.Sequential(
        new nn.Snake(channels, { device }),
        new nn.WeightNormConv1d(channels, channels, 7, { dilation, padding: 3 * dilation, groups, device, seed: dilation }),
        new nn.Snake(channels, { device }),
        new nn.WeightNormConv1d(channels, channels, 1, { device, seed: 2 }),
      );
    }
    override forward(x: Tensor): Tensor {
      return F.add(x, this.block.forward(x));
    }
  }

  const dilations = [1, 3, 9];
  const residualUnit = (net: ReferenceNet, name: string, x: Signal, dilation: number, groups: number): Signal => {
    const first = net.conv(`${name}.block.1`, net.snake(`${name}.block.0`, x), { dilation, padding: 3 * dilation, groups });
    return add(x, net.conv(`${name}.block.3`, net.snake(`${name}.block.2`, first)));
  };

  class DacDecoder extends nn.Module {
    model: nn.Sequential;
    constructor(strides: readonly number[]) {
      super();
      const layers: nn.Module[] = [new nn.WeightNormConv1d(5, 16, 7, { padding: 3, device, seed: 1 })];
      let channels = 16;
      for (const stride of strides) {
        const up = new nn.WeightNormConvTranspose1d(channels, channels / 2, 2 * stride, { stride, padding: Math.ceil(stride / 2), device, seed: stride });
        channels /= 2;
        layers.push(new nn.Sequential(new nn.Snake(2 * channels, { device }), up, ...dilations.map((dilation) => new ResidualUnit(channels, dilation, 1))));
      }
      this.model = new nn.Sequential(
        ...layers,
        new nn.Snake(channels, { device }),
        new nn.WeightNormConv1d(channels, 1, 7, { padding: 3, device, seed: 9 }),
        new nn.Tanh(),
      );
    }
    override forward(x: Tensor): Tensor {
      return this.model.forward(x);
    }
  }

  test('a DAC decoder', async () => {
    const strides = [4, 3];
    const decoder = new DacDecoder(strides);
    const x = device.tensor(values(5 * 6, 2), { shape: [1, 5, 6] });
    await agree(decoder, x, (net, input) => {
      let y = net.conv('model.0', input, { padding: 3 });
      strides.forEach((stride, i) => {
        const name = `model.${i + 1}`;
        y = net.convTranspose(`${name}.1`, net.snake(`${name}.0`, y), { stride, padding: Math.ceil(stride / 2) });
        dilations.forEach((dilation, k) => {
          y = residualUnit(net, `${name}.${k + 2}`, y, dilation, 1);
        });
      });
      return tanh(net.conv('model.4', net.snake('model.3', y), { padding: 3 }));
    });
  });

  /** Adds noise weighted by the signal itself; the noise is given, so that the test can repeat it. */
  class NoiseBlock extends nn.Module {
    linear: nn.WeightNormConv1d;
    constructor(
      channels: number,
      readonly seed: number,
    ) {
      super();
      this.linear = new nn.WeightNormConv1d(channels, channels, 1, { bias: false, device, seed });
    }
    noise(batch: number, length: number): Float32Array {
      return values(batch * length, this.seed);
    }
    override forward(x: Tensor): Tensor {
      const [batch, , length] = x.shape as [number, number, number];
      const noise = device.tensor(this.noise(batch, length), { shape: [batch, 1, length] });
      return F.add(x, F.mul(noise, this.linear.forward(x)));
    }
  }

  class SnacBlock extends nn.Module {
    block: nn.Sequential;
    constructor(inputs: number, outputs: number, stride: number) {
      super();
      const o = { stride, padding: Math.ceil(stride / 2), outputPadding: stride % 2, device, seed: stride };
      this.block = new nn.Sequential(
        new nn.Snake(inputs, { device }),
        new nn.WeightNormConvTranspose1d(inputs, outputs, 2 * stride, o),
        new NoiseBlock(outputs, stride),
        ...dilations.map((dilation) => new ResidualUnit(outputs, dilation, outputs)),
      );
    }
    override forward(x: Tensor): Tensor {
      return this.block.forward(x);
    }
  }

  class SnacDecoder extends nn.Module {
    model: nn.Sequential;
    constructor(strides: readonly number[]) {
      super();
      let channels = 12;
      const blocks = strides.map((stride) => {
        channels /= 2;
        return new SnacBlock(2 * channels, channels, stride);
      });
      this.model = new nn.Sequential(
        new nn.WeightNormConv1d(5, 5, 7, { padding: 3, groups: 5, device, seed: 1 }),
        new nn.WeightNormConv1d(5, 12, 1, { device, seed: 2 }),
        ...blocks,
        new nn.Snake(channels, { device }),
        new nn.WeightNormConv1d(channels, 1, 7, { padding: 3, device, seed: 3 }),
        new nn.Tanh(),
      );
    }
    override forward(x: Tensor): Tensor {
      return this.model.forward(x);
    }
  }

  test('a SNAC decoder: depthwise, odd strides with output padding, noise', async () => {
    const strides = [3, 2];
    const decoder = new SnacDecoder(strides);
    const x = device.tensor(values(2 * 5 * 7, 3), { shape: [2, 5, 7] });
    await agree(decoder, x, (net, input) => {
      let y = net.conv('model.1', net.conv('model.0', input, { padding: 3, groups: 5 }));
      strides.forEach((stride, i) => {
        const name = `model.${i + 2}.block`;
        y = net.convTranspose(`${name}.1`, net.snake(`${name}.0`, y), { stride, padding: Math.ceil(stride / 2), outputPadding: stride % 2 });
        const [batch, channels, length] = y.shape;
        const noise = values(batch * length, stride);
        const spread: Signal = { data: y.data.map((_, at) => noise[Math.floor(at / (channels * length)) * length + (at % length)] as number), shape: y.shape };
        y = add(y, mul(spread, net.conv(`${name}.2.linear`, y)));
        dilations.forEach((dilation, k) => {
          y = residualUnit(net, `${name}.${k + 3}`, y, dilation, channels);
        });
      });
      return tanh(net.conv('model.5', net.snake('model.4', y), { padding: 3 }));
    });
  });

  test('a decoder that is trimmed on the right only, as causal transposed convolutions are', async () => {
    class CausalUp extends nn.Module {
      up = new nn.WeightNormConvTranspose1d(4, 3, 6, { stride: 2, padding: [0, 4], device, seed: 4 });
      override forward(x: Tensor): Tensor {
        return this.up.forward(x);
      }
    }
    const model = new CausalUp();
    const x = device.tensor(values(4 * 9, 5), { shape: [1, 4, 9] });
    const expected = crop(new ReferenceNet(await parametersOf(model)).convTranspose('up', await signal(x), { stride: 2 }), 0, 4);
    const y = model.forward(x);
    expect(y.shape).toEqual([1, 3, 18]);
    expect(relativeError(await y.read(), expected.data)).toBeLessThanOrEqual(tolerance);
  });
});
