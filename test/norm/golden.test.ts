import { type Device, functional as F } from 'weightnorm';
import { devices } from '../support/devices';
import { dtypeOf, type GoldenTensor, goldenCases, readGolden } from '../support/golden';
import { ulp } from '../support/random';

const golden = readGolden('torch.safetensors');
const cases = goldenCases();
const part = (name: string, key: string): GoldenTensor => {
  const tensor = golden.get(`${name}/${key}`);
  if (!tensor) throw new Error(`the golden file lacks ${name}/${key}`);
  return tensor;
};

function upload(device: Device, { shape, data, dtype }: GoldenTensor) {
  if (dtype === 'float64') throw new Error('references are not uploaded');
  return device.tensor(data, { shape, dtype });
}

/** Largest error in units of the last place, measured at `at(i)`. */
function worst(actual: Float32Array, expected: Float64Array, unit: (i: number) => number): number {
  let largest = 0;
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs((actual[i] as number) - (expected[i] as number)) / unit(i);
    if (!(error <= largest)) largest = error;
  }
  return largest;
}

describe.each(devices)('weight norm against torch on %s', (_, device) => {
  const forward = cases.filter(({ op }) => op === 'weight_norm' || op === 'weight_norm_axes');
  test('the file has its 138 cases', () => expect(forward).toHaveLength(138));

  test.each(forward.map((c) => [c.name, c] as const))('%s', async (name, c) => {
    const options = c.axes ? { axes: c.axes } : { dim: c.dim as number | null };
    const dtype = dtypeOf[c.dtype as 'f32'];
    const v = upload(device, part(name, 'v'));
    const g = upload(device, part(name, 'g'));
    const gradW = upload(device, part(name, 'grad_w'));
    const w = await F.weightNorm(v, g, options).read();
    const reference = part(name, 'w_f64').data;
    const most = dtype === 'float32' ? 4 : 1;
    expect(worst(w, reference, (i) => ulp(reference[i] as number, dtype))).toBeLessThanOrEqual(most);

    const { gradV, gradG } = F.weightNormBackward(gradW, v, g, options);
    const [actualV, actualG] = [await gradV.read(), await gradG.read()];
    const [referenceV, referenceG] = [part(name, 'grad_v_f64').data, part(name, 'grad_g_f64').data];
    // Per kept slice: gradV against max|(g/n)·gradW|, gradG against ‖gradW‖.
    const { rowOf, scale, gradNorm } = slices(name, c.shape as number[], part(name, 'g').shape);
    expect(worst(actualV, referenceV, (i) => ulp(scale[rowOf[i] as number] as number, dtype) * (dtype === 'float32' ? 16 : 1))).toBeLessThanOrEqual(1);
    expect(worst(actualG, referenceG, (i) => ulp(gradNorm[i] as number, dtype) * (dtype === 'float32' ? 16 : 1))).toBeLessThanOrEqual(1);
  });

  function slices(name: string, shape: number[], kept: number[]) {
    const [v, g, gradW] = [part(name, 'v').data, part(name, 'g').data, part(name, 'grad_w').data];
    const strides = shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1));
    const rowOf = Int32Array.from(v, (_, i) =>
      shape.reduce((at, dim, axis) => at * (kept[axis] ?? 1) + ((kept[axis] ?? 1) === 1 ? 0 : Math.floor(i / (strides[axis] as number)) % dim), 0),
    );
    const count = g.length;
    const [n2, gw2, largest] = [new Float64Array(count), new Float64Array(count), new Float64Array(count)];
    for (let i = 0; i < v.length; i++) {
      const row = rowOf[i] as number;
      n2[row] = (n2[row] as number) + (v[i] as number) ** 2;
      gw2[row] = (gw2[row] as number) + (gradW[i] as number) ** 2;
      largest[row] = Math.max(largest[row] as number, Math.abs(gradW[i] as number));
    }
    return { rowOf, scale: largest.map((m, k) => (Math.abs(g[k] as number) / Math.sqrt(n2[k] as number)) * m), gradNorm: gw2.map(Math.sqrt) };
  }

  const extreme = cases.filter(({ op }) => op === 'weight_norm_extreme');
  test.each(extreme.map((c) => [c.name, c] as const))('%s', async (name, c) => {
    const w = await F.weightNorm(upload(device, part(name, 'v')), upload(device, part(name, 'g')), { dim: c.dim as number }).read();
    const reference = golden.get(`${name}/w_f64`)?.data ?? zeroRowReference(name, c.shape as [number, number]);
    const unit = (i: number): number => {
      const value = Math.abs(reference[i] as number);
      // Apple GPUs flush float32 subnormals: a result that is one, or starts from one, may be 0.
      const flushed = device.info.type === 'metal' && (value < 2 ** -126 || Math.abs(part(name, 'v').data[i] as number) < 2 ** -126);
      return flushed ? Math.max(4 * ulp(value), value) : 4 * ulp(value);
    };
    expect(worst(w, reference, unit)).toBeLessThanOrEqual(1);
  });

  /** torch gives NaN for a row of zeros; here it is 0, and every other row is what torch gives. */
  function zeroRowReference(name: string, [rows, columns]: [number, number]): Float64Array {
    const [v, torch] = [part(name, 'v').data, part(name, 'w').data];
    return Float64Array.from({ length: rows * columns }, (_, i) => {
      const start = i - (i % columns);
      return v.subarray(start, start + columns).every((x) => x === 0) ? 0 : (torch[i] as number);
    });
  }

  const activations = cases.filter(({ op }) => op === 'activation');
  test.each(activations.map((c) => [c.name, c] as const))('%s', async (name, c) => {
    const x = upload(device, part(name, 'x'));
    const run = {
      leaky_relu: () => F.leakyRelu(x, c.slope as number),
      tanh: () => F.tanh(x),
      elu: () => F.elu(x),
      gelu: () => F.gelu(x),
      snake: () => F.snake(x, upload(device, part(name, 'alpha'))),
    }[c.activation as 'tanh'];
    const expected = part(name, 'y').data;
    // Relative to the value, with an absolute floor where cancellation (gelu's and elu's tails) leaves few digits.
    expect(worst(await run().read(), expected, (i) => 4 * ulp(expected[i] as number) + 2e-7)).toBeLessThanOrEqual(1);
  });
});
