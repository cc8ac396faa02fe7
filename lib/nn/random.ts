import { describe, fail } from '../errors.js';

/** A stream of uniform values from −bound to bound. */
export type Uniform = (count: number, bound: number) => Float32Array;

/**
 * @internal xoshiro128** (Blackman and Vigna 2018), its state filled from the seed by splitmix32: the same values for a
 * seed on every device and platform. Without a seed they differ each time.
 */
export function uniformStream(seed: number | undefined): Uniform {
  if (seed !== undefined && (!Number.isSafeInteger(seed) || seed < 0)) {
    fail('ERR_ARGUMENT', `seed is ${describe(seed)}; it must be an integer from 0 to 2^53 - 1`);
  }
  const start = seed ?? Math.floor(Math.random() * Number.MAX_SAFE_INTEGER);
  let mixed = (start ^ Math.imul(Math.floor(start / 2 ** 32), 0x9e3779b1)) | 0;
  const splitmix = (): number => {
    mixed = (mixed + 0x9e3779b9) | 0;
    let z = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return z ^ (z >>> 15);
  };
  let [a, b, c, d] = [splitmix(), splitmix(), splitmix(), splitmix()];
  return (count, bound) => {
    const values = allocate(count);
    for (let i = 0; i < count; i++) {
      const product = Math.imul(b, 5);
      const bits = Math.imul((product << 7) | (product >>> 25), 9);
      const shifted = b << 9;
      c ^= a;
      d ^= b;
      b ^= c;
      a ^= d;
      c ^= shifted;
      d = (d << 11) | (d >>> 21);
      values[i] = ((bits >>> 8) * 2 ** -23 - 1) * bound;
    }
    return values;
  };
}

function allocate(count: number): Float32Array {
  try {
    return new Float32Array(count);
  } catch (error) {
    return fail('ERR_MEMORY', `${count} initial weights do not fit in memory`, error);
  }
}
