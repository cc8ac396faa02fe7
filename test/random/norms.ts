import { functional as F } from 'weightnorm';
import { backwardReference, keptIndices, reducedAxes, weightNormReference } from '../support/norm-reference';
import { ulp } from '../support/random';
import { near, type Value } from './model';
import { alike, at, disposed, kept } from './support';
import type { Codes, World } from './world';

/** Axes of a norm: what to pass, and which are normalised. */
function normAxes(w: World, codes: Codes, rank: number): { options: { dim?: number | null; axes?: number[] }; reduced: number[] } {
  const choice = w.next(6);
  if (rank === 0) codes.add('ERR_SHAPE');
  if (choice === 0) return { options: {}, reduced: reducedAxes(rank, 0) };
  if (choice === 1) return { options: { dim: null }, reduced: reducedAxes(rank, null) };
  if (choice < 4) {
    const dim = w.next(Math.max(1, 2 * rank) + (w.rarely(12) ? 1 : 0)) - rank;
    if (dim >= rank) codes.add('ERR_ARGUMENT');
    return { options: { dim }, reduced: reducedAxes(rank, dim) };
  }
  const axes = Array.from({ length: rank }, (_, axis) => axis).filter(() => w.next(2) === 1);
  if (axes.length === 0) codes.add('ERR_ARGUMENT');
  return { options: { axes }, reduced: axes };
}
/** weightNorm, or its backward. */
function weightNorm(w: World, backward: boolean): void {
  const v = w.any();
  const codes = new Set<never>() as Codes;
  const { options, reduced } = normAxes(w, codes, v.shape.length);
  const g = w.beside(v, kept(v.shape, reduced), w.next(2) ? 'float32' : v.dtype);
  const eps = w.pick([undefined, undefined, 0.5, 1e-6]);
  const all = eps === undefined ? options : { ...options, eps };
  for (const code of disposed([v, g])) codes.add(code);
  alike(codes, v, [g], true);
  const whole = reduced.length === v.shape.length && g.shape.length === 0;
  if (g.shape.join() !== kept(v.shape, reduced).join() && !whole) codes.add('ERR_SHAPE');
  const [vv, gv] = [v.value, g.value];
  const finite = (...values: Value[]): boolean => values.every((value) => value.numbers.every((n) => Math.abs(n) < 1e12));
  if (!backward) {
    const y = w.attempt(codes, () => F.weightNorm(v.tensor, g.tensor, all));
    if (!y) return;
    w.add(y, v.shape, v.dtype, v.device, (got) => {
      const { w: want } = weightNormReference(vv.numbers, gv.numbers, vv.shape, reduced, eps);
      const ulps = v.dtype === 'float32' ? 4 : 0.5;
      near(
        'weightNorm',
        got,
        (i) => at(want, i),
        (_i, n) => ulps * ulp(n, v.dtype),
        w.tally,
        () => finite(vv, gv),
      );
    });
    return;
  }
  const gradW = w.beside(v, v.shape);
  for (const code of disposed([gradW])) codes.add(code);
  alike(codes, v, [gradW]);
  if (gradW.shape.join() !== v.shape.join()) codes.add('ERR_SHAPE');
  const grads = w.attempt(codes, () => F.weightNormBackward(gradW.tensor, v.tensor, g.tensor, all));
  if (!grads) return;
  const dv = gradW.value;
  const want = (): ReturnType<typeof backwardReference> => backwardReference(dv.numbers, vv.numbers, gv.numbers, vv.shape, reduced, eps);
  w.add(grads.gradV, v.shape, v.dtype, v.device, (got) => {
    const { gradV, rowScale } = want();
    const rows = keptIndices(vv.shape, reduced).kept;
    near(
      'gradV',
      got,
      (i) => at(gradV, i),
      (i) => 16 * ulp(at(rowScale, rows[i] as number)),
      w.tally,
      () => finite(vv, gv, dv),
    );
  });
  w.add(grads.gradG, g.shape, g.dtype, g.device, (got) => {
    const { gradG, gradWNorm } = want();
    // Where eps clamps, the sum is divided by eps instead of by the norm.
    const { n } = weightNormReference(vv.numbers, gv.numbers, vv.shape, reduced);
    const size = (i: number): number => (eps !== undefined && at(n, i) < eps ? (at(gradWNorm, i) * at(n, i)) / eps : at(gradWNorm, i));
    near(
      'gradG',
      got,
      (i) => at(gradG, i),
      (i) => 16 * ulp(size(i)),
      w.tally,
      () => finite(vv, gv, dv),
    );
  });
}

/** Norms, weight norm and its gradient, sums and means. */
export const norms: Record<string, (w: World) => void> = {
  reduce(w) {
    const x = w.any();
    const rank = x.shape.length;
    const all = w.next(4) === 0;
    const axes = all ? undefined : Array.from({ length: rank }, (_, axis) => axis).filter(() => w.next(2));
    const wrong = !all && w.rarely(12);
    if (wrong) axes?.push(rank);
    const reduced = axes ?? Array.from({ length: rank }, (_, axis) => axis);
    const keepDims = w.next(2) === 1;
    const mean = w.next(2) === 1;
    const codes = disposed([x]);
    if (wrong) codes.add('ERR_ARGUMENT');
    const y = w.attempt(codes, () => (mean ? F.mean : F.sum)(x.tensor, axes, { keepDims }));
    if (!y) return;
    const input = x.value;
    const shape = keepDims ? kept(x.shape, reduced) : x.shape.filter((_, axis) => !reduced.includes(axis));
    w.add(y, shape, x.dtype, x.device, (got) => {
      const { kept: to, count } = keptIndices(input.shape, reduced);
      const [sums, sizes] = [new Float64Array(count), new Float64Array(count)];
      input.numbers.forEach((n, i) => {
        const k = to[i] as number;
        sums[k] = at(sums, k) + n;
        sizes[k] = at(sizes, k) + Math.abs(n);
      });
      const terms = mean ? input.numbers.length / count : 1;
      near(
        'reduction',
        got,
        (i) => at(sums, i) / terms,
        (i) => (4 * ulp(at(sizes, i))) / terms,
        w.tally,
      );
    });
  },

  norm(w) {
    const v = w.any();
    const codes = disposed([v]);
    const { options, reduced } = normAxes(w, codes, v.shape.length);
    const y = w.attempt(codes, () => F.norm(v.tensor, options));
    if (!y) return;
    const input = v.value;
    w.add(y, kept(v.shape, reduced), 'float32', v.device, (got) => {
      const { n } = weightNormReference(input.numbers, input.numbers, input.shape, reduced);
      near(
        'norm',
        got,
        (i) => at(n, i),
        (_i, want) => 4 * ulp(want),
        w.tally,
      );
    });
  },

  weightNorm: (w) => weightNorm(w, false),
  weightNormBackward: (w) => weightNorm(w, true),
};
