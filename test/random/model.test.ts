import { Device, functional as F } from 'weightnorm';
import { ulp } from '../support/random';
import { handles } from './handles';
import { exact, near, nearNorm, type Value } from './model';
import { World } from './world';

/** The model must notice what it is for. */
const tally = { compared: 0, skipped: 0 };
const value = (numbers: number[], dtype: Value['dtype'] = 'float32'): Value => ({ shape: [numbers.length], dtype, numbers: Float32Array.from(numbers) });
const device = Device.get('cpu');

test('comparisons reject a value that is one unit too far', () => {
  expect(() => exact('x', value([1, 2]), (i) => i + 1, tally)).not.toThrow();
  expect(() => exact('x', value([1, 2 + ulp(2)]), (i) => i + 1, tally)).toThrow(/element 1/);
  expect(() => exact('x', value([-0]), () => 0, tally)).not.toThrow();
  expect(() => exact('x', value([Number.NaN]), () => 1, tally)).toThrow(/element 0/);
  expect(() =>
    near(
      'x',
      value([1 + 4 * ulp(1)]),
      () => 1,
      () => 4 * ulp(1),
      tally,
    ),
  ).not.toThrow();
  expect(() =>
    near(
      'x',
      value([1 + 5 * ulp(1)]),
      () => 1,
      () => 4 * ulp(1),
      tally,
    ),
  ).toThrow(/element 0/);
  expect(() =>
    near(
      'x',
      value([1 + 2 ** -9], 'float16'),
      () => 1,
      () => 0,
      tally,
    ),
  ).toThrow(/element 0/);
  expect(() =>
    near(
      'x',
      value([Number.NaN]),
      () => 1,
      () => 1,
      tally,
    ),
  ).toThrow(/element 0/);
  expect(() => nearNorm('x', value([1, 1]), [1, 1 + 1e-7], [1, 1], 3e-6, tally)).not.toThrow();
  expect(() => nearNorm('x', value([1, 1]), [1, 1.001], [1, 1], 3e-6, tally)).toThrow(/is off by/);
  expect(() => nearNorm('x', value([1, Number.NaN]), [1, 1], [1, 1], 3e-6, tally)).toThrow(/is off by/);
});

test('a world notices values, versions, handles and tensors that are not what its steps made', async () => {
  const world = (): World => {
    const w = new World([device]);
    w.begin({ op: 'create', n: [1, 2, 3, 4] });
    return w;
  };
  const cases: [string, (w: World) => void, RegExp][] = [
    ['a wrong value', (w) => w.add(device.tensor([1, 2]), [2], 'float32', 0, (y) => exact('made', y, () => 1, w.tally)), /made: element 1/],
    ['a wrong shape', (w) => w.add(device.tensor([1, 2]), [3], 'float32', 0, () => {}), /shape is/],
    ['a wrong dtype', (w) => w.add(device.tensor([1, 2]), [2], 'float16', 0, () => {}), /dtype is/],
    ['a write nobody told it of', (w) => w.create([2, 3]).tensor.write([1, 2, 3, 4, 5, 6]), /version is 1/],
    ['a handle disposed behind its back', (w) => w.create([2]).tensor.dispose(), /disposed is true/],
    ['a refusal that was due', (w) => w.attempt(new Set(['ERR_SHAPE']), () => w.create([1])), /was accepted/],
    ['a refusal that was not', (w) => w.attempt(new Set(['ERR_SHAPE']), () => device.zeros([2], 'x' as never)), /dtype/],
  ];
  for (const [what, spoil, message] of cases) {
    const w = world();
    const tell = async (): Promise<void> => {
      spoil(w);
      w.verifyAll();
      await w.finish();
    };
    await expect(tell().catch((error: Error) => Promise.reject(new Error(`${what}: ${error.message}`)))).rejects.toThrow(message);
    w.dispose();
  }
  const w = world();
  const stray = F.add(w.create([2]).tensor, 1);
  expect(() => w.verifyAll()).toThrow(/tensors are alive/);
  stray.dispose();
  expect(() => w.verifyAll()).not.toThrow();
  handles.dispose?.(w);
  w.verifyAll();
  w.dispose();
});
