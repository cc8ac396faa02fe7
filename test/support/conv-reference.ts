/** Convolutions in float64, element by element, in torch's layout; 1-D is 2-D of height 1. */

// Looked up once: a global costs hundreds of nanoseconds in the context that specs run in.
const { abs } = Math;

export interface ConvProblem {
  x: ArrayLike<number>;
  /** [N, C, H, W] */
  xShape: [number, number, number, number];
  weight: ArrayLike<number>;
  /** [O, C/groups, KH, KW], or transposed [C, O/groups, KH, KW] */
  wShape: [number, number, number, number];
  bias?: ArrayLike<number> | undefined;
  stride: [number, number];
  dilation: [number, number];
  padBegin: [number, number];
  padEnd: [number, number];
  outputPadding?: [number, number];
  groups: number;
  mode?: 'zeros' | 'reflect' | 'replicate' | 'circular';
}

/** Source index of a padded position, or -1 for a zero. */
export function sourceIndex(position: number, length: number, mode: string): number {
  if (position >= 0 && position < length) return position;
  if (mode === 'zeros') return -1;
  if (mode === 'replicate') return position < 0 ? 0 : length - 1;
  if (mode === 'circular') return ((position % length) + length) % length;
  return position < 0 ? -position : 2 * (length - 1) - position;
}

export interface Convolved {
  data: Float64Array;
  /** Sums of the magnitudes of each element's terms: what rounding errors are small beside. */
  magnitudes: Float64Array;
  shape: [number, number, number, number];
}

export function convReference(p: ConvProblem): Convolved {
  const [n, c, h, w] = p.xShape;
  const [o, perGroup, kh, kw] = p.wShape;
  const extent = (d: 0 | 1, size: number, k: number): number =>
    Math.floor((size + p.padBegin[d] + p.padEnd[d] - p.dilation[d] * (k - 1) - 1) / p.stride[d]) + 1;
  const [oh, ow] = [extent(0, h, kh), extent(1, w, kw)];
  const y = new Float64Array(n * o * oh * ow);
  const magnitudes = new Float64Array(y.length);
  const perOut = o / p.groups;
  const [x, weight] = [Float64Array.from(p.x), Float64Array.from(p.weight)];
  const sources = (d: 0 | 1, outputs: number, k: number, size: number): Int32Array =>
    Int32Array.from({ length: k * outputs }, (_, at) =>
      sourceIndex((at % outputs) * p.stride[d] + Math.floor(at / outputs) * p.dilation[d] - p.padBegin[d], size, p.mode ?? 'zeros'),
    );
  const [rows, columns] = [sources(0, oh, kh, h), sources(1, ow, kw, w)];
  for (let b = 0; b < n; b++)
    for (let oc = 0; oc < o; oc++) {
      const out = (b * o + oc) * oh * ow;
      y.fill(p.bias ? (p.bias[oc] as number) : 0, out, out + oh * ow);
      magnitudes.fill(abs(y[out] as number), out, out + oh * ow);
      const first = Math.floor(oc / perOut) * perGroup;
      for (let ic = 0; ic < perGroup; ic++)
        for (let a = 0; a < kh; a++)
          for (let e = 0; e < kw; e++) {
            const factor = weight[((oc * perGroup + ic) * kh + a) * kw + e] as number;
            for (let i = 0; i < oh; i++) {
              const row = rows[a * oh + i] as number;
              if (row < 0) continue;
              const from = ((b * c + first + ic) * h + row) * w;
              for (let j = 0; j < ow; j++) {
                const column = columns[e * ow + j] as number;
                if (column < 0) continue;
                const term = (x[from + column] as number) * factor;
                y[out + i * ow + j] = (y[out + i * ow + j] as number) + term;
                magnitudes[out + i * ow + j] = (magnitudes[out + i * ow + j] as number) + abs(term);
              }
            }
          }
    }
  return { data: y, magnitudes, shape: [n, o, oh, ow] };
}

export function convTransposeReference(p: ConvProblem): Convolved {
  const [n, c, h, w] = p.xShape;
  const [, perGroup, kh, kw] = p.wShape;
  const o = perGroup * p.groups;
  const extra = p.outputPadding ?? [0, 0];
  const extent = (d: 0 | 1, size: number, k: number): number => (size - 1) * p.stride[d] - p.padBegin[d] - p.padEnd[d] + p.dilation[d] * (k - 1) + 1 + extra[d];
  const [oh, ow] = [extent(0, h, kh), extent(1, w, kw)];
  const y = new Float64Array(n * o * oh * ow);
  const magnitudes = new Float64Array(y.length);
  const [x, weight] = [Float64Array.from(p.x), Float64Array.from(p.weight)];
  const perIn = c / p.groups;
  for (let b = 0; b < n; b++)
    for (let ic = 0; ic < c; ic++)
      for (let q = 0; q < perGroup; q++) {
        const oc = Math.floor(ic / perIn) * perGroup + q;
        for (let i = 0; i < h; i++)
          for (let a = 0; a < kh; a++) {
            const row = i * p.stride[0] + a * p.dilation[0] - p.padBegin[0];
            if (row < 0 || row >= oh) continue;
            for (let j = 0; j < w; j++)
              for (let e = 0; e < kw; e++) {
                const column = j * p.stride[1] + e * p.dilation[1] - p.padBegin[1];
                if (column < 0 || column >= ow) continue;
                const at = ((b * o + oc) * oh + row) * ow + column;
                const term = (x[((b * c + ic) * h + i) * w + j] as number) * (weight[((ic * perGroup + q) * kh + a) * kw + e] as number);
                y[at] = (y[at] as number) + term;
                magnitudes[at] = (magnitudes[at] as number) + abs(term);
              }
          }
      }
  for (let i = 0; p.bias && i < y.length; i++) {
    const bias = p.bias[Math.floor(i / (oh * ow)) % o] as number;
    y[i] = (y[i] as number) + bias;
    magnitudes[i] = (magnitudes[i] as number) + abs(bias);
  }
  return { data: y, magnitudes, shape: [n, o, oh, ow] };
}

/** ‖actual − expected‖ / ‖expected‖. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [difference, size] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    difference += ((actual[i] as number) - (expected[i] as number)) ** 2;
    size += (expected[i] as number) ** 2;
  }
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  return size === 0 ? Math.sqrt(difference) : Math.sqrt(difference / size);
}

/** The layer tolerance: 3e-6·max(1, √(K/4096)), and one ulp of the dtype more for half types. */
export function layerTolerance(terms: number, dtype: string): number {
  return 3e-6 * Math.max(1, Math.sqrt(terms / 4096)) + (dtype === 'float16' ? 2 ** -10 : dtype === 'bfloat16' ? 2 ** -7 : 0);
}

/**
 * The layer tolerance for outputs so few that their terms may cancel: relative to the outputs, or four roundings of a float32 relative to the
 * terms' magnitudes, whichever is more.
 */
export function cancellingTolerance(expected: Convolved, terms: number, dtype: string): number {
  const [size, magnitude] = [expected.data, expected.magnitudes].map((values) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0))) as [
    number,
    number,
  ];
  const float32 = layerTolerance(terms, 'float32');
  return layerTolerance(terms, dtype) - float32 + Math.max(float32, size === 0 ? 0 : (4 * 2 ** -24 * magnitude) / size);
}
