import { functional as F, type Tensor } from 'weightnorm';
import { ulp } from '../support/random';
import { broadcast, broadcastAt, erf, exact, near, rounded, unravel } from './model';
import { alike, at, disposed } from './support';
import type { World } from './world';

type Unary = [call: (x: Tensor) => Tensor, exact: (x: number) => number];
const activations: Record<string, Unary> = {
  leakyRelu: [(x) => F.leakyRelu(x, 0.25), (x) => (x >= 0 ? x : 0.25 * x)],
  relu: [F.relu, (x) => Math.max(x, 0)],
  elu: [(x) => F.elu(x, 1.5), (x) => (x > 0 ? x : 1.5 * Math.expm1(x))],
  gelu: [F.gelu, (x) => (x * (1 + erf(x / Math.SQRT2))) / 2],
  silu: [F.silu, (x) => x / (1 + Math.exp(-x))],
  sigmoid: [F.sigmoid, (x) => 1 / (1 + Math.exp(-x))],
  tanh: [F.tanh, Math.tanh],
  exp: [F.exp, Math.exp],
  sin: [F.sin, Math.sin],
  square: [(x) => F.pow(x, 2), (x) => x * x],
};

const kinds: [typeof F.add, (a: number, b: number) => number][] = [
  [F.add, (a, b) => a + b],
  [F.sub, (a, b) => a - b],
  [F.mul, (a, b) => a * b],
  [F.div, (a, b) => a / b],
];

export const elementwise: Record<string, (w: World) => void> = {
  activation(w) {
    const x = w.any();
    const [name, [call, reference]] = w.pick(Object.entries(activations));
    const y = w.attempt(disposed([x]), () => call(x.tensor));
    if (!y) return;
    const input = x.value;
    // 8 ulp, plus 1e-6 where a tail or a zero crossing cancels; beyond 40 exp and the square outgrow what is compared.
    w.add(y, x.shape, x.dtype, x.device, (got) =>
      near(
        name,
        got,
        (i) => reference(at(input.numbers, i)),
        (_i, n) => 8 * ulp(n) + 1e-6,
        w.tally,
        (i) => Math.abs(at(input.numbers, i)) < 40,
      ),
    );
  },

  snake(w) {
    const x = w.any();
    const rank = x.shape.length;
    const channels = rank === 0 ? 1 : (x.shape[rank >= 3 ? 1 : 0] as number);
    const alpha = w.beside(x, w.next(2) ? [channels] : [1, channels, 1], w.next(3) ? x.dtype : 'float32');
    const logScale = w.next(2) === 1;
    const codes = disposed([x, alpha]);
    alike(codes, x, [alpha], true);
    if (rank === 0 || ![`${channels}`, `1,${channels},1`].includes(alpha.shape.join())) codes.add('ERR_SHAPE');
    const y = w.attempt(codes, () => F.snake(x.tensor, alpha.tensor, { logScale }));
    if (!y) return;
    const [xv, av] = [x.value, alpha.value];
    const inner = x.shape.slice(rank >= 3 ? 2 : 1).reduce((p, d) => p * d, 1);
    const rate = (i: number): number => {
      const a = at(av.numbers, Math.floor(i / inner) % channels);
      return logScale ? Math.exp(a) : a;
    };
    w.add(y, x.shape, x.dtype, x.device, (got) =>
      near(
        'snake',
        got,
        (i) => at(xv.numbers, i) + Math.sin(rate(i) * at(xv.numbers, i)) ** 2 / (rate(i) + 1e-9),
        // The argument of the sine is rounded: what that is worth grows as 1/α and with the angle.
        (i, n) => 16 * ulp(Math.max(Math.abs(n), Math.abs(at(xv.numbers, i)), Math.abs(at(xv.numbers, i) ** 2 * rate(i)))) + 4e-6,
        w.tally,
        (i) => Math.abs(at(xv.numbers, i)) < 40 && Math.abs(rate(i)) > 0.01 && Math.abs(rate(i)) < 40,
      ),
    );
  },

  arithmetic(w) {
    const a = w.any();
    const [call, reference] = w.pick(kinds);
    const form = w.next(4);
    if (form < 2) {
      const number = w.pick([2, 0.5, -1.25, 3]);
      const [left, right] = form === 0 ? [a.tensor, number] : [number, a.tensor];
      const y = w.attempt(disposed([a]), () => call(left, right));
      if (!y) return;
      const input = a.value;
      w.add(y, a.shape, a.dtype, a.device, (got) =>
        exact(
          'arithmetic with a number',
          got,
          (i) => rounded(form === 0 ? reference(at(input.numbers, i), number) : reference(number, at(input.numbers, i)), a.dtype),
          w.tally,
        ),
      );
      return;
    }
    const b = w.beside(a, form === 2 ? a.shape : a.shape.slice(w.next(2)).map((dim) => (w.next(2) ? dim : 1)));
    const shape = broadcast(a.shape, b.shape);
    const codes = disposed([a, b]);
    alike(codes, a, [b]);
    if (!shape) codes.add('ERR_SHAPE');
    const y = w.attempt(codes, () => call(a.tensor, b.tensor));
    if (!y || !shape) return;
    const [av, bv] = [a.value, b.value];
    w.add(y, shape, a.dtype, a.device, (got) =>
      exact(
        'arithmetic',
        got,
        (i) => {
          const index = unravel(i, shape);
          return rounded(reference(at(av.numbers, broadcastAt(av.shape, index)), at(bv.numbers, broadcastAt(bv.shape, index))), a.dtype);
        },
        w.tally,
      ),
    );
  },
};
