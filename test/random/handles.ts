import { type ErrorCode, functional as F, scope, WeightNormError } from 'weightnorm';
import { roundTo, values } from '../support/random';
import { exact, rounded, sizeOf } from './model';
import { type Codes, dtypes, type Slot, type Step, type World } from './world';

const when = (condition: boolean, code: ErrorCode): Codes => new Set(condition ? [code] : []);

/** What changes, copies and frees handles. */
export const handles: Record<string, (w: World) => void> = {
  create(w) {
    w.create(w.randomShape());
  },

  full(w) {
    const device = w.next(w.devices.length);
    const dtype = w.pick(dtypes);
    const shape = w.randomShape();
    const value = w.pick([0, 1, -2.7, 0.1]);
    const bad = w.rarely(16);
    const y = w.attempt(when(bad, 'ERR_SHAPE'), () => w.devices[device]?.full(bad ? [...shape, 0] : shape, value, dtype));
    if (y) w.add(y, shape, dtype, device, (got) => exact('full', got, () => rounded(value, dtype), w.tally));
  },

  randn(w) {
    const device = w.next(w.devices.length);
    const shape = w.randomShape();
    const seed = w.next(50);
    const y = w.attempt(new Set(), () => w.devices[device]?.randn(shape, { seed }));
    // The same seed gives the same numbers on every device.
    const again = w.devices[0]?.randn(shape, { seed });
    const numbers = again?.readSync() ?? [];
    again?.dispose();
    if (y) w.add(y, shape, 'float32', device, (got) => exact('randn', got, (i) => numbers[i] as number, w.tally));
  },

  write(w) {
    const slot = w.any();
    const size = sizeOf(slot.shape);
    const wrong = w.rarely(12);
    const data = values(wrong ? size + 1 : size, w.next(1000), 'float32', 3);
    const codes: Codes = new Set(slot.disposed ? ['ERR_DISPOSED'] : []);
    if (wrong) codes.add('ERR_SHAPE');
    const done = w.attempt(codes, () => {
      slot.tensor.write(data);
      return true;
    });
    // Overwritten after the call: the copy was made at once.
    const written = data.slice();
    data.fill(Number.NaN);
    if (done) w.rewrite(slot, written);
  },

  clone(w) {
    const x = w.any();
    const y = w.attempt(when(x.disposed, 'ERR_DISPOSED'), () => x.tensor.clone());
    if (!y) return;
    const input = x.value;
    w.add(y, x.shape, x.dtype, x.device, (got) => exact('clone', got, (i) => input.numbers[i] as number, w.tally));
  },

  cast(w) {
    const x = w.any();
    const dtype = w.pick(dtypes);
    const y = w.attempt(when(x.disposed, 'ERR_DISPOSED'), () => x.tensor.to(dtype));
    if (!y) return;
    const input = x.value;
    w.add(y, x.shape, dtype, x.device, (got) => exact(`to ${dtype}`, got, (i) => roundTo(input.numbers[i] as number, dtype), w.tally));
  },

  move(w) {
    const x = w.any();
    const device = w.next(w.devices.length);
    const y = w.attempt(when(x.disposed, 'ERR_DISPOSED'), () => x.tensor.to(w.devices[device] as never));
    if (!y) return;
    const input = x.value;
    w.add(y, x.shape, x.dtype, device, (got) => exact('to a device', got, (i) => input.numbers[i] as number, w.tally));
  },

  reshape(w) {
    const x = w.any();
    const size = sizeOf(x.shape);
    const first = [1, 2, 3, 4, 5].filter((dim) => size % dim === 0);
    const dim = w.pick(first);
    const wrong = w.rarely(12);
    const codes: Codes = new Set(x.disposed ? ['ERR_DISPOSED'] : []);
    if (wrong) codes.add('ERR_SHAPE');
    const y = w.attempt(codes, () => x.tensor.reshape(wrong ? [size + 1] : [dim, -1]));
    if (y) w.share(y, [dim, size / dim], x);
  },

  dispose(w) {
    const slot = w.any();
    slot.tensor.dispose();
    slot.tensor.dispose();
    slot.disposed = true;
    for (const use of [() => slot.tensor.clone(), () => slot.tensor.readSync(), () => F.add(1, slot.tensor), () => slot.tensor.write([1])]) {
      w.attempt<unknown>(new Set(['ERR_DISPOSED']), use);
    }
  },

  nonsense(w) {
    const x = w.any();
    const values: unknown[] = [null, undefined, 'x', {}, [], Number.NaN, Number.POSITIVE_INFINITY, 1n, () => 1, x.tensor, -1, 2 ** 53, new Float64Array(2)];
    const [a, b] = [w.pick(values), w.pick(values)];
    const calls: [string, () => unknown][] = [
      ['narrow', () => F.narrow(x.tensor, a as never, b as never, a as never)],
      ['cat', () => F.cat(a as never, b as never)],
      ['pad', () => F.pad(x.tensor, [a as never, b as never])],
      ['norm', () => F.norm(x.tensor, { dim: a as never, axes: b as never })],
      ['conv1d', () => F.conv1d(a as never, x.tensor, b as never)],
      ['conv options', () => F.conv1d(x.tensor, x.tensor, null, { stride: a as never, padding: b as never })],
      ['linear', () => F.linear(x.tensor, a as never, b as never)],
      ['interpolate', () => F.interpolate(x.tensor, a as never)],
      ['pow', () => F.pow(a as never, b as never)],
      ['reshape', () => x.tensor.reshape(a as never)],
      ['to', () => x.tensor.to(a as never)],
      ['transpose', () => x.tensor.transpose(a as never)],
      ['tensor', () => x.tensor.device.tensor(a as never, { shape: b as never, dtype: 'float32' })],
      ['full', () => x.tensor.device.full(a as never, b as never)],
      ['randn', () => x.tensor.device.randn([2], { seed: a as never, std: b as never })],
      ['weightNorm', () => F.weightNorm(x.tensor, a as never, { eps: b as never })],
      ['snake', () => F.snake(x.tensor, a as never)],
      ['sum', () => F.sum(x.tensor, a as never)],
    ];
    const [name, call] = w.pick(calls);
    // Some of these mean something; whatever happens, it is a tensor or an error of ours.
    w.what = `${name} of nonsense`;
    try {
      (call() as { dispose(): void }).dispose();
    } catch (error) {
      if (!(error instanceof WeightNormError)) throw error;
    }
  },
};

/** Runs steps in a scope that returns some of what they make, throws, or is async. */
export function runScope(w: World, step: Step, run: (step: Step) => void): void {
  const ending = w.next(8);
  const mask = w.next(256);
  const kept: Slot[] = [];
  let made: Slot[] = [];
  let inner: unknown;
  const body = (): unknown => {
    made = w.collect(() => {
      for (const each of step.body ?? []) {
        try {
          run(each);
        } catch (error) {
          inner = error;
          throw error;
        }
      }
    });
    if (ending === 6) throw new WeightNormError('ERR_ABORTED', 'thrown in a scope');
    if (ending === 7) return Promise.resolve(made.map((slot) => slot.tensor));
    kept.push(...made.filter((slot, i) => !slot.disposed && (mask >> (i % 8)) & 1));
    return { tensors: [new Map(kept.map((slot, i) => [i, slot.tensor]))] };
  };
  const codes: Codes = ending === 6 ? new Set(['ERR_ABORTED']) : ending === 7 ? new Set(['ERR_ARGUMENT']) : new Set();
  try {
    scope(body);
    if (codes.size > 0) throw new Error('scope: an error was swallowed');
  } catch (error) {
    if (inner !== undefined || !(error instanceof WeightNormError) || !codes.has(error.code)) throw error;
  }
  for (const slot of made) slot.disposed ||= !kept.includes(slot);
}
