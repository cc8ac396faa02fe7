import type { DType } from '../../lib/dtype';
import { roundTo, ulp } from '../support/random';

/** The numbers of one storage: what the device says they are, once it has answered. */
export interface Value {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly numbers: Float32Array;
}

export const sizeOf = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1);

/** How far the values of checks may be off, and how many were compared. */
export interface Tally {
  compared: number;
  /** Elements beyond the dtype's range or computed from non-finite ones: nothing is promised of them. */
  skipped: number;
}

const largest: Record<DType, number> = { float32: 3.4e38, float16: 65504, bfloat16: 3.3e38 };
/** Apple GPUs flush float32 subnormals: below this a result may be 0. */
const tiny = 2 ** -126;

/**
 * Compares with float64. `slack(i)` is the absolute error that element i may have before it is rounded to the dtype.
 * Elements near the end of the dtype's range are left out, and those for which `defined(i)` says no.
 */
export function near(
  what: string,
  y: Value,
  expected: (i: number) => number,
  slack: (i: number, expected: number) => number,
  tally: Tally,
  defined: (i: number) => boolean = () => true,
): void {
  for (let i = 0; i < y.numbers.length; i++) {
    const want = expected(i);
    const room = slack(i, want);
    if (!defined(i) || !Number.isFinite(want) || !Number.isFinite(room) || Math.abs(want) + room > 0.99 * largest[y.dtype]) {
      tally.skipped++;
      continue;
    }
    tally.compared++;
    const rounding = y.dtype === 'float32' ? 0 : 0.5 * ulp(Math.abs(want) + room, y.dtype);
    const got = y.numbers[i] as number;
    if (!(Math.abs(got - want) <= room + rounding + tiny)) {
      throw new Error(`${what}: element ${i} of ${y.dtype} [${y.shape.join(', ')}] is ${got}; ${want} within ${room + rounding} is right`);
    }
  }
}

/** Compares bit for bit (any NaN is a NaN). */
export function exact(what: string, y: Value, expected: (i: number) => number, tally: Tally): void {
  for (let i = 0; i < y.numbers.length; i++) {
    const want = expected(i);
    tally.compared++;
    const got = y.numbers[i] as number;
    if (!Object.is(got, want) && !(Math.abs(want) < tiny && got === 0))
      throw new Error(`${what}: element ${i} of ${y.dtype} [${y.shape.join(', ')}] is ${got}; ${want} is right`);
  }
}

/** ‖y − expected‖ against a relative tolerance of ‖magnitude‖: for sums of products, whose error is shared out. */
export function nearNorm(what: string, y: Value, expected: ArrayLike<number>, magnitude: ArrayLike<number>, tolerance: number, tally: Tally): void {
  let [error, size] = [0, 0];
  for (let i = 0; i < y.numbers.length; i++) {
    if (!Number.isFinite(magnitude[i] as number) || (magnitude[i] as number) > 0.5 * largest[y.dtype]) {
      tally.skipped += y.numbers.length;
      return;
    }
    error += ((y.numbers[i] as number) - (expected[i] as number)) ** 2;
    size += (magnitude[i] as number) ** 2;
  }
  tally.compared += y.numbers.length;
  if (!(Math.sqrt(error) <= tolerance * Math.sqrt(size) + (0.5 * ulp(0, y.dtype) + tiny) * Math.sqrt(y.numbers.length))) {
    // A result near a half type's smallest numbers is rounded to their grid.
    throw new Error(`${what}: ${y.dtype} [${y.shape.join(', ')}] is off by ${Math.sqrt(error / size)} of its terms' norm; ${tolerance} is allowed`);
  }
}

/** A float64 result as the device rounds a correctly rounded float32 one. */
export const rounded = (value: number, dtype: DType): number => roundTo(Math.fround(value), dtype);

/** Row-major index of an element as one number an axis. */
export function unravel(i: number, shape: readonly number[]): number[] {
  const index = new Array<number>(shape.length);
  for (let axis = shape.length - 1, rest = i; axis >= 0; axis--) {
    index[axis] = rest % (shape[axis] as number);
    rest = Math.floor(rest / (shape[axis] as number));
  }
  return index;
}

/** The element of a broadcast operand behind an index of the result. */
export function broadcastAt(shape: readonly number[], index: readonly number[]): number {
  const skip = index.length - shape.length;
  return shape.reduce((flat, dim, axis) => flat * dim + (dim === 1 ? 0 : (index[axis + skip] as number)), 0);
}

/** NumPy's broadcasting, or null. */
export function broadcast(a: readonly number[], b: readonly number[]): number[] | null {
  const rank = Math.max(a.length, b.length);
  const shape: number[] = [];
  for (let axis = 0; axis < rank; axis++) {
    const [p, q] = [a[axis - rank + a.length] ?? 1, b[axis - rank + b.length] ?? 1];
    if (p !== q && p !== 1 && q !== 1) return null;
    shape.push(p === 1 ? q : p);
  }
  return shape;
}

/** erf in float64: a series near 0, a continued fraction beyond. */
export function erf(x: number): number {
  if (Math.abs(x) < 3) {
    let [term, sum] = [x, x];
    for (let n = 1; n < 120; n++) {
      term *= (-x * x) / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let n = 120; n > 0; n--) fraction = n / 2 / (Math.abs(x) + fraction);
  return Math.sign(x) * (1 - Math.exp(-x * x) / ((Math.abs(x) + fraction) * Math.sqrt(Math.PI)));
}
