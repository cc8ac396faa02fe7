import { functional as F, type Tensor, WeightNormError } from 'weightnorm';
import { devices } from '../support/devices';

function errorOf(run: () => unknown): WeightNormError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(WeightNormError);
    return error as WeightNormError;
  }
  throw new Error('nothing was thrown');
}

describe.each(devices)('bad input to weight norm on %s', (_, device) => {
  const v = (): Tensor => device.ones([4, 3, 2]);
  const g = (): Tensor => device.ones([4, 1, 1]);
  const cases: [string, () => unknown, string, RegExp][] = [
    ['g of another shape', () => F.weightNorm(v(), device.ones([3, 1, 1])), 'ERR_SHAPE', /g has shape \[3, 1, 1\].*must be \[4, 1, 1\]/],
    ['g that would broadcast', () => F.weightNorm(v(), device.ones([1, 1, 1])), 'ERR_SHAPE', /g has shape \[1, 1, 1\].*must be \[4, 1, 1\]/],
    ['g of another rank', () => F.weightNorm(v(), device.ones([4])), 'ERR_SHAPE', /g has shape \[4\]/],
    ['a half g beside a float32 v', () => F.weightNorm(v(), device.ones([4, 1, 1], 'float16')), 'ERR_DTYPE', /g is float16.*float32/],
    ['a bfloat16 g beside a float16 v', () => F.weightNorm(device.ones([4, 2], 'float16'), device.ones([4, 1], 'bfloat16')), 'ERR_DTYPE', /g is bfloat16/],
    ['dim past the rank', () => F.weightNorm(v(), g(), { dim: 3 }), 'ERR_ARGUMENT', /dim is 3; for a tensor of rank 3 it must be an integer from -3 to 2/],
    ['dim before the start', () => F.norm(v(), { dim: -4 }), 'ERR_ARGUMENT', /dim is -4/],
    ['a fractional dim', () => F.norm(v(), { dim: 0.5 }), 'ERR_ARGUMENT', /dim is 0.5/],
    ['repeated axes', () => F.norm(v(), { axes: [1, -2] }), 'ERR_ARGUMENT', /axes is \[1, -2\]; each axis may be named once/],
    ['empty axes', () => F.norm(v(), { axes: [] }), 'ERR_ARGUMENT', /axes is \[\]/],
    ['an axis past the rank', () => F.norm(v(), { axes: [5] }), 'ERR_ARGUMENT', /axes is 5; for a tensor of rank 3/],
    ['axes that are no array', () => F.norm(v(), { axes: 1 as never }), 'ERR_ARGUMENT', /axes is 1; it must be an array/],
    ['dim and axes', () => F.norm(v(), { dim: 0, axes: [1] }), 'ERR_ARGUMENT', /dim and axes were both given/],
    ['rank 0', () => F.norm(device.tensor(3)), 'ERR_SHAPE', /rank 0/],
    ['a negative eps', () => F.weightNorm(v(), g(), { eps: -1 }), 'ERR_ARGUMENT', /eps is -1/],
    ['a NaN eps', () => F.weightNorm(v(), g(), { eps: Number.NaN }), 'ERR_ARGUMENT', /eps is NaN/],
    ['gradW of another shape', () => F.weightNormBackward(device.ones([4, 3]), v(), g()), 'ERR_SHAPE', /gradW has shape \[4, 3\]; it must be v's, \[4, 3, 2\]/],
    ['gradW of another dtype', () => F.weightNormBackward(device.ones([4, 3, 2], 'float16'), v(), g()), 'ERR_DTYPE', /gradW is float16 but v is float32/],
    ['no tensor', () => F.weightNorm([1, 2] as never, g()), 'ERR_ARGUMENT', /v is \[1, 2\]; it must be a Tensor/],
  ];
  test.each(cases)('%s', (_name, run, code, message) => {
    const error = errorOf(run);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });

  test('a disposed tensor is named', () => {
    const gone = g();
    gone.dispose();
    const error = errorOf(() => F.weightNorm(v(), gone));
    expect([error.code, error.message]).toEqual(['ERR_DISPOSED', 'g was disposed']);
  });

  const others = devices.filter(([, other]) => other !== device);
  for (const [label, other] of others)
    test(`a g on ${label} is refused`, () => {
      const error = errorOf(() => F.weightNorm(v(), other.ones([4, 1, 1])));
      expect(error.code).toBe('ERR_DEVICE');
      expect(error.message).toMatch(/g is on .* but v is on/);
    });

  test('the device goes on working afterwards', async () => {
    errorOf(() => F.norm(v(), { dim: 9 }));
    expect((await F.norm(device.tensor([[3, 4]])).read())[0]).toBe(5);
  });
});
