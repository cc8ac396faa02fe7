import { functional as F, nn, type Tensor } from 'weightnorm';
import { addon } from '../../dist/native.js';
import { relativeError } from '../support/conv-reference';
import { devices } from '../support/devices';
import { expectError } from '../support/errors';
import { values } from '../support/random';

describe.each(devices)('Sequential on %s', (_, device) => {
  const x = device.tensor(values(2 * 4 * 9, 7, 'float32', 2), { shape: [2, 4, 9] });
  const conv = (inputs = 4, outputs = 4): nn.WeightNormConv1d => new nn.WeightNormConv1d(inputs, outputs, 3, { device, padding: 1 });
  const apart = (net: nn.Sequential, input: Tensor): Tensor => [...net].reduce((y, module) => module.forward(y), input);

  function activationCalls(fn: () => void): number {
    const spy = jest.spyOn(addon, 'activation');
    try {
      fn();
      return spy.mock.calls.length;
    } finally {
      spy.mockRestore();
    }
  }

  test('modules are named by index, counted and iterated', () => {
    const net = new nn.Sequential(conv(), new nn.ReLU(), ...Array.from({ length: 10 }, () => new nn.Linear(9, 9, { device, bias: false })));
    expect([...net.namedModules().keys()]).toEqual(['', ...Array.from({ length: 12 }, (_, i) => `${i}`)]);
    expect(net.length).toBe(12);
    expect([...net]).toEqual([...net.namedModules().values()].slice(1));
    expect(net.at(-1)).toBe(net.at(11));
    expectError(() => net.at(12), 'ERR_ARGUMENT', /index is 12; it must be an integer from -12 to 11/);
    expectError(() => net.at(0.5), 'ERR_ARGUMENT', /index is 0.5/);
    expect(new nn.Sequential().forward(x)).toBe(x);
  });

  test.each([
    ['activation, convolution', () => new nn.Sequential(new nn.LeakyReLU(0.1), conv()), 0],
    ['convolution, activation', () => new nn.Sequential(conv(), new nn.Tanh()), 0],
    ['activation on both sides', () => new nn.Sequential(new nn.ELU(), conv(), new nn.GELU(), conv(), new nn.Sigmoid()), 0],
    ['sigmoid, which does not keep padding at zero', () => new nn.Sequential(new nn.Sigmoid(), conv()), 0],
    ['snake', () => new nn.Sequential(new nn.Snake(4, { device }), conv(), new nn.Snake(4, { device, logScale: true })), 0],
    [
      'a transposed convolution per input channel',
      () => new nn.Sequential(new nn.LeakyReLU(0.1), new nn.WeightNormConvTranspose1d(4, 3, 4, { device, stride: 2 }), new nn.SiLU()),
      0,
    ],
    ['two activations in a row', () => new nn.Sequential(new nn.ReLU(), new nn.Tanh(), conv()), 1],
    ['an activation after Linear', () => new nn.Sequential(new nn.WeightNormLinear(9, 5, { device }), new nn.ReLU()), 0],
    ['snake after Linear, whose channels are elsewhere', () => new nn.Sequential(new nn.Linear(9, 5, { device }), new nn.Snake(4, { device })), 1],
    ['an activation before Linear', () => new nn.Sequential(new nn.ReLU(), new nn.Linear(9, 5, { device })), 1],
    ['activations alone', () => new nn.Sequential(new nn.ReLU(), new nn.Tanh()), 2],
    ['nested', () => new nn.Sequential(new nn.Sequential(new nn.ReLU(), conv()), new nn.Tanh()), 1],
  ] as const)('%s: fused means the same as apart', async (_name, make, calls) => {
    const net = make();
    const expected = await apart(net, x).read();
    const outputs: Tensor[] = [];
    expect(activationCalls(() => void outputs.push(net.forward(x)))).toBe(calls);
    expect(relativeError(await (outputs[0] as Tensor).read(), expected)).toBeLessThanOrEqual(1e-6);
  });

  test('a subclass that overrides forward is never bypassed', async () => {
    class Doubled extends nn.Conv1d {
      override forward(input: Tensor): Tensor {
        return F.mul(super.forward(input), 2);
      }
    }
    class Negated extends nn.ReLU {
      override forward(input: Tensor): Tensor {
        return F.mul(super.forward(input), -1);
      }
    }
    const net = new nn.Sequential(new nn.ReLU(), new Doubled(4, 4, 3, { device }), new Negated(), new nn.Conv1d(4, 2, 1, { device }), new Negated());
    expect(await net.forward(x).read()).toEqual(await apart(net, x).read());
    const patched = new nn.Conv1d(4, 4, 1, { device });
    patched.forward = (input) => F.mul(input, 3);
    expect(await new nn.Sequential(patched, new nn.ReLU()).forward(x).read()).toEqual(await F.relu(F.mul(x, 3)).read());
  });

  test('results between its own layers are freed; what a user’s module may hold is not', async () => {
    const own = new nn.Sequential(conv(), new nn.ReLU(), new nn.Tanh(), conv(), new nn.Linear(9, 2, { device }));
    own.forward(x).dispose();
    const { tensors } = device.memory();
    const y = own.forward(x);
    expect(device.memory().tensors).toBe(tensors + 1);
    await y.read();
    class Tap extends nn.Module {
      #seen: Tensor | null = null;
      get seen(): Tensor | null {
        return this.#seen;
      }
      override forward(input: Tensor): Tensor {
        this.#seen = input;
        return this.negate ? F.mul(input, -1) : input;
      }
      constructor(readonly negate: boolean) {
        super();
      }
    }
    for (const negate of [false, true]) {
      const tap = new Tap(negate);
      const net = new nn.Sequential(conv(), tap, new nn.ReLU(), conv());
      const out = await net.forward(x).read();
      const seen = tap.seen as Tensor;
      expect(seen.disposed).toBe(false);
      expect(
        relativeError(
          await net
            .at(3)
            .forward(F.relu(F.mul(seen, negate ? -1 : 1)))
            .read(),
          out,
        ),
      ).toBeLessThanOrEqual(1e-6);
    }
  });
});
