import type { DType } from '../../lib/dtype';

/** A small seeded generator (mulberry32), uniform in [0, 1). */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** `count` values uniform in [-1, 1), already rounded to the dtype so that they are stored exactly. */
export function values(count: number, seed: number, dtype: DType = 'float32', scale = 1): Float32Array {
  const next = generator(seed);
  return Float32Array.from({ length: count }, () => roundTo((next() * 2 - 1) * scale, dtype));
}

const scratch = new DataView(new ArrayBuffer(8));

/** A number rounded to nearest even in a dtype. */
export function roundTo(value: number, dtype: DType): number {
  const single = Math.fround(value);
  if (dtype === 'float32' || !Number.isFinite(single)) return single;
  if (dtype === 'bfloat16') {
    scratch.setFloat32(0, single);
    const bits = scratch.getUint32(0);
    scratch.setUint32(0, ((bits + 0x7fff + ((bits >>> 16) & 1)) & 0xffff0000) >>> 0);
    return scratch.getFloat32(0);
  }
  if (single === 0) return single;
  const exponent = Math.max(Math.floor(Math.log2(Math.abs(single))), -14);
  const unit = 2 ** (exponent - 10);
  const quotient = single / unit;
  let whole = Math.round(quotient);
  if (Math.abs(quotient % 1) === 0.5 && whole % 2 !== 0) whole -= 1;
  const rounded = whole * unit;
  return Math.abs(rounded) > 65504 ? Math.sign(rounded) * Number.POSITIVE_INFINITY : rounded;
}

/** Distance between neighbouring numbers of a dtype at a magnitude. */
export function ulp(value: number, dtype: DType = 'float32'): number {
  const [mantissa, least] = dtype === 'float32' ? [23, -126] : dtype === 'float16' ? [10, -14] : [7, -126];
  const magnitude = Math.abs(value);
  const exponent = magnitude === 0 ? least : Math.max(Math.floor(Math.log2(magnitude)), least);
  return 2 ** (exponent - mantissa);
}
