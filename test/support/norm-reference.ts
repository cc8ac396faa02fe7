/** Weight norm in float64, element by element, for any set of normalised axes. */

/** Index of the kept slice each element belongs to. */
export function keptIndices(shape: readonly number[], reduced: readonly number[]): { kept: Int32Array; count: number; keptShape: number[] } {
  const keptShape = shape.map((dim, axis) => (reduced.includes(axis) ? 1 : dim));
  const size = shape.reduce((a, b) => a * b, 1);
  const kept = new Int32Array(size);
  const index = new Array<number>(shape.length).fill(0);
  for (let i = 0; i < size; i++) {
    let at = 0;
    for (let axis = 0; axis < shape.length; axis++) at = at * (keptShape[axis] as number) + (reduced.includes(axis) ? 0 : (index[axis] as number));
    kept[i] = at;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis] = (index[axis] as number) + 1;
      if (index[axis] !== shape[axis]) break;
      index[axis] = 0;
    }
  }
  return { kept, count: keptShape.reduce((a, b) => a * b, 1), keptShape };
}

/** Axes that `dim` normalises. */
export function reducedAxes(rank: number, dim: number | null): number[] {
  const all = Array.from({ length: rank }, (_, i) => i);
  return dim === null ? all : all.filter((axis) => axis !== (dim < 0 ? dim + rank : dim));
}

export interface NormReference {
  n: Float64Array;
  w: Float64Array;
}

/** n = ‖v‖ and w = v·(g/n); `eps` as in the library: undefined gives 0 for a zero row. */
export function weightNormReference(
  v: ArrayLike<number>,
  g: ArrayLike<number>,
  shape: readonly number[],
  reduced: readonly number[],
  eps?: number,
): NormReference {
  const { kept, count } = keptIndices(shape, reduced);
  // Scaled by the largest magnitude: exact for every float32 input, as hypot is.
  const largest = new Float64Array(count);
  for (let i = 0; i < kept.length; i++) largest[kept[i] as number] = Math.max(largest[kept[i] as number] as number, Math.abs(v[i] as number));
  const sum = new Float64Array(count);
  const lost = new Float64Array(count);
  for (let i = 0; i < kept.length; i++) {
    const k = kept[i] as number;
    const scaled = largest[k] ? (v[i] as number) / (largest[k] as number) : 0;
    const add = scaled * scaled - (lost[k] as number);
    const next = (sum[k] as number) + add;
    lost[k] = next - (sum[k] as number) - add;
    sum[k] = next;
  }
  const n = sum.map((s, k) => Math.sqrt(s) * (largest[k] as number));
  const w = new Float64Array(kept.length);
  for (let i = 0; i < kept.length; i++) {
    const k = kept[i] as number;
    const norm = eps !== undefined && eps > 0 ? Math.max(n[k] as number, eps) : (n[k] as number);
    w[i] = norm === 0 && eps === undefined ? 0 : ((v[i] as number) / norm) * (g[k] as number);
  }
  return { n, w };
}

/** gradG = S/n and gradV = (g/n)(gradW − (v/n)(S/n)), with zeros for zero rows when eps is unset. */
export function backwardReference(
  gradW: ArrayLike<number>,
  v: ArrayLike<number>,
  g: ArrayLike<number>,
  shape: readonly number[],
  reduced: readonly number[],
  eps?: number,
): { gradV: Float64Array; gradG: Float64Array; rowScale: Float64Array; gradWNorm: Float64Array } {
  const { kept, count } = keptIndices(shape, reduced);
  const { n } = weightNormReference(v, g, shape, reduced, eps);
  const s = new Float64Array(count);
  const gradWNorm = new Float64Array(count);
  for (let i = 0; i < kept.length; i++) {
    const k = kept[i] as number;
    s[k] = (s[k] as number) + (gradW[i] as number) * (v[i] as number);
    gradWNorm[k] = (gradWNorm[k] as number) + (gradW[i] as number) ** 2;
  }
  const clamped = n.map((norm) => (eps !== undefined && eps > 0 && norm < eps ? 1 : 0));
  const gradG = s.map((sum, k) => (clamped[k] ? sum / (eps as number) : n[k] === 0 && eps === undefined ? 0 : sum / (n[k] as number)));
  const gradV = new Float64Array(kept.length);
  const rowScale = new Float64Array(count);
  for (let i = 0; i < kept.length; i++) {
    const k = kept[i] as number;
    const norm = clamped[k] ? (eps as number) : (n[k] as number);
    if (norm === 0 && eps === undefined) continue;
    const scale = (g[k] as number) / norm;
    rowScale[k] = Math.max(rowScale[k] as number, Math.abs(scale * (gradW[i] as number)));
    gradV[i] = clamped[k] ? scale * (gradW[i] as number) : scale * ((gradW[i] as number) - ((v[i] as number) / norm) * ((s[k] as number) / norm));
  }
  return { gradV, gradG, rowScale, gradWNorm: gradWNorm.map(Math.sqrt) };
}
