import fc from 'fast-check';
import { functional as F } from 'weightnorm';
import type { DType } from '../../lib/dtype';
import { devices } from '../support/devices';
import { backwardReference, keptIndices, reducedAxes, weightNormReference } from '../support/norm-reference';
import { roundTo, ulp, values } from '../support/random';

const dtypes: DType[] = ['float32', 'float16', 'bfloat16'];

/** A shape of rank 1 to 8 with at most 3,000 elements, and a choice of axes. */
const problem = fc
  .array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 8 })
  .map((dims) => {
    const shape: number[] = [];
    for (const dim of dims) shape.push(shape.reduce((a, b) => a * b, 1) * dim > 3000 ? 1 : dim);
    return shape;
  })
  .chain((shape) =>
    fc.record({
      shape: fc.constant(shape),
      seed: fc.integer({ min: 0, max: 2 ** 31 }),
      dtype: fc.constantFrom(...dtypes),
      choice: fc.oneof(
        fc.record({ dim: fc.option(fc.integer({ min: -shape.length, max: shape.length - 1 }), { nil: null }) }),
        fc.record({
          axes: fc
            .subarray(
              shape.map((_, i) => i),
              { minLength: 1 },
            )
            .map((axes) => axes.map((axis) => (axis % 2 ? axis : axis - shape.length))),
        }),
      ),
      eps: fc.constantFrom(undefined, 1e-12, 1e-3),
    }),
  );

describe.each(devices)('weight norm on %s', (_, device) => {
  const runs = { numRuns: device.info.simulated ? 25 : 150 };

  test('forward, norm and backward agree with float64 for random ranks, axes, dtypes and eps', async () => {
    await fc.assert(
      fc.asyncProperty(problem, async ({ shape, seed, dtype, choice, eps }) => {
        const reduced = 'axes' in choice ? choice.axes.map((axis) => (axis < 0 ? axis + shape.length : axis)) : reducedAxes(shape.length, choice.dim);
        const { kept, keptShape, count } = keptIndices(shape, reduced);
        const size = kept.length;
        const v = values(size, seed, dtype);
        const g = values(count, seed + 1, dtype);
        const gradW = values(size, seed + 2, dtype);
        const options = { ...choice, ...(eps === undefined ? {} : { eps }) };
        const [tv, tg, tw] = [device.tensor(v, { shape, dtype }), device.tensor(g, { shape: keptShape, dtype }), device.tensor(gradW, { shape, dtype })];

        const reference = weightNormReference(v, g, shape, reduced, eps);
        const n = await F.norm(tv, choice).read();
        for (let k = 0; k < count; k++) expect(Math.abs((n[k] as number) - (reference.n[k] as number))).toBeLessThanOrEqual(4 * ulp(reference.n[k] as number));

        const w = await F.weightNorm(tv, tg, options).read();
        const most = dtype === 'float32' ? 4 : 1;
        for (let i = 0; i < size; i++)
          expect(Math.abs((w[i] as number) - (reference.w[i] as number))).toBeLessThanOrEqual(most * ulp(reference.w[i] as number, dtype));

        const { gradV, gradG } = F.weightNormBackward(tw, tv, tg, options);
        const gradient = backwardReference(gradW, v, g, shape, reduced, eps);
        const [actualV, actualG] = [await gradV.read(), await gradG.read()];
        const slack = dtype === 'float32' ? 16 : 1;
        for (let i = 0; i < size; i++) {
          const unit = ulp(gradient.rowScale[kept[i] as number] as number, dtype);
          expect(Math.abs((actualV[i] as number) - (gradient.gradV[i] as number))).toBeLessThanOrEqual(slack * unit);
        }
        for (let k = 0; k < count; k++)
          expect(Math.abs((actualG[k] as number) - (gradient.gradG[k] as number))).toBeLessThanOrEqual(slack * ulp(gradient.gradWNorm[k] as number, dtype));
      }),
      runs,
    );
  });

  test('‖w‖ = |g|, w is parallel to v, and scaling g scales w', async () => {
    const shape = [7, 5, 3];
    const v = values(105, 3);
    const g = values(7, 4);
    const tv = device.tensor(v, { shape });
    const w = F.weightNorm(tv, device.tensor(g, { shape: [7, 1, 1] }));
    const n = await F.norm(w).read();
    for (let k = 0; k < 7; k++) expect(Math.abs((n[k] as number) - Math.abs(g[k] as number))).toBeLessThanOrEqual(4 * ulp(g[k] as number));

    const values1 = await w.read();
    for (let k = 0; k < 7; k++) {
      const ratio = (values1[k * 15] as number) / (v[k * 15] as number);
      for (let i = 0; i < 15; i++) expect(values1[k * 15 + i]).toBeCloseTo(ratio * (v[k * 15 + i] as number), 6);
    }
    // Doubling is exact in binary, so every bit must follow.
    const doubled = await F.weightNorm(
      tv,
      device.tensor(
        g.map((x) => 2 * x),
        { shape: [7, 1, 1] },
      ),
    ).read();
    expect(doubled).toEqual(values1.map((x) => 2 * x));
  });

  test.each([2 ** 12, 2 ** 16 + 1, ...(device.info.simulated ? [] : [2 ** 20 + 3, 2 ** 24])])(
    'a constant row of %i ones has the norm of its length',
    async (length) => {
      const v = device.ones([2, length]);
      const exact = Math.sqrt(length);
      for (const n of await F.norm(v).read()) expect(Math.abs(n - exact)).toBeLessThanOrEqual(4 * ulp(exact));
      const w = F.narrow(F.weightNorm(v, device.ones([2, 1])), 1, length - 3, 3);
      for (const x of await w.read()) expect(Math.abs(x - 1 / exact)).toBeLessThanOrEqual(4 * ulp(1 / exact));
      v.dispose();
    },
  );

  test('gradients that cancel: rows of length 1, and gradW parallel to v', async () => {
    const single = F.weightNormBackward(device.tensor([[0.7], [-3]]), device.tensor([[0.3], [1e-6]]), device.tensor([[2], [5]]));
    const gradV = await single.gradV.read();
    // gradV is exactly 0 in theory; 16 ulp of |(g/n)·gradW| is allowed.
    expect(Math.abs(gradV[0] as number)).toBeLessThanOrEqual(16 * ulp((2 / 0.3) * 0.7));
    expect(Math.abs(gradV[1] as number)).toBeLessThanOrEqual(16 * ulp((5 / 1e-6) * 3));
    expect(await single.gradG.read()).toEqual(Float32Array.of(0.7, -3));

    const v = values(4 * 257, 9);
    const parallel = F.weightNormBackward(
      device.tensor(
        v.map((x) => 4 * x),
        { shape: [4, 257] },
      ),
      device.tensor(v, { shape: [4, 257] }),
      device.ones([4, 1]),
    );
    const { rowScale } = backwardReference(
      v.map((x) => 4 * x),
      v,
      [1, 1, 1, 1],
      [4, 257],
      [1],
    );
    const gradients = await parallel.gradV.read();
    gradients.forEach((x, i) => {
      expect(Math.abs(x)).toBeLessThanOrEqual(16 * ulp(rowScale[Math.floor(i / 257)] as number));
    });
  });

  test('eps: unset keeps zero rows at 0, above 0 clamps, 0 gives NaN as torch does', async () => {
    const v = device.tensor([
      [0, 0],
      [3e-4, 4e-4],
      [3, 4],
    ]);
    const g = device.tensor([[2], [2], [2]]);
    const gradW = device.tensor([
      [1, 2],
      [1, 2],
      [1, 2],
    ]);
    const unset = await F.weightNorm(v, g).read();
    expect([...unset.slice(0, 2)]).toEqual([0, 0]);
    expect(unset[2]).toBeCloseTo(1.2, 6);
    const free = F.weightNormBackward(gradW, v, g);
    expect([...(await free.gradV.read()).slice(0, 2), (await free.gradG.read())[0]]).toEqual([0, 0, 0]);

    const clamped = await F.weightNorm(v, g, { eps: 1e-3 }).read();
    expect(clamped[2]).toBeCloseTo((2 / 1e-3) * 3e-4, 6);
    expect(clamped[4]).toBeCloseTo(1.2, 6);
    const bounded = F.weightNormBackward(gradW, v, g, { eps: 1e-3 });
    const [gradV, gradG] = [await bounded.gradV.read(), await bounded.gradG.read()];
    expect(gradV[0]).toBeCloseTo(2000, 3);
    expect(gradG[1]).toBeCloseTo((3e-4 + 8e-4) / 1e-3, 5);

    const torch = await F.weightNorm(v, g, { eps: 0 }).read();
    expect([Number.isNaN(torch[0]), Number.isNaN(torch[2])]).toEqual([true, false]);
    expect(Number.isNaN((await F.weightNormBackward(gradW, v, g, { eps: 0 }).gradG.read())[0])).toBe(true);
  });

  test('non-finite input makes only its own slice non-finite', async () => {
    const v = device.tensor([
      [1, Number.NaN, 2],
      [1, 2, 2],
      [Number.POSITIVE_INFINITY, 1, 1],
    ]);
    const w = await F.weightNorm(v, device.ones([3, 1])).read();
    expect([...w.slice(0, 3)].every(Number.isNaN)).toBe(true);
    expect([...w.slice(3, 6)].map((x) => x.toFixed(5))).toEqual(['0.33333', '0.66667', '0.66667']);
    expect(Number.isNaN(w[6])).toBe(true);
  });

  test('float32 g beside a half v keeps the precision of the scale', async () => {
    const v = device.tensor(values(24, 5, 'float16'), { shape: [4, 6], dtype: 'float16' });
    const g = Float32Array.of(1.0001, 2.0003, 0.1234567, 7);
    const w = await F.weightNorm(v, device.tensor(g, { shape: [4, 1] })).read();
    const reference = weightNormReference(values(24, 5, 'float16'), g, [4, 6], [1]);
    w.forEach((x, i) => {
      expect(Math.abs(x - (reference.w[i] as number))).toBeLessThanOrEqual(ulp(reference.w[i] as number, 'float16'));
    });
    expect(roundTo(w[0] as number, 'float16')).toBe(w[0]);
  });
});
