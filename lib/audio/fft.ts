/** A discrete Fourier transform of one length, in place on real and imaginary parts: X[k] = Σ x[n]·e^(−2πi·kn/size). */
export type Transform = (re: Float64Array, im: Float64Array) => void;

/** cos and −sin of 2π·i/size. */
function roots(size: number, count: number): { cos: Float64Array; sin: Float64Array } {
  const cos = new Float64Array(count);
  const sin = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    cos[i] = Math.cos((2 * Math.PI * i) / size);
    sin[i] = -Math.sin((2 * Math.PI * i) / size);
  }
  return { cos, sin };
}

/** Radix 2, decimation in time (Cooley and Tukey 1965); size a power of two. */
function radix2(size: number): Transform {
  const { cos, sin } = roots(size, size / 2);
  const reversed = new Uint32Array(size);
  for (let i = 1; i < size; i++) reversed[i] = ((reversed[i >> 1] as number) >> 1) | (i & 1 ? size >> 1 : 0);
  return (re, im) => {
    for (let i = 0; i < size; i++) {
      const j = reversed[i] as number;
      if (j > i) {
        [re[i], re[j]] = [re[j] as number, re[i] as number];
        [im[i], im[j]] = [im[j] as number, im[i] as number];
      }
    }
    for (let half = 1; half < size; half *= 2) {
      const step = size / (2 * half);
      for (let start = 0; start < size; start += 2 * half) {
        for (let k = 0; k < half; k++) {
          const a = start + k;
          const b = a + half;
          const wr = cos[k * step] as number;
          const wi = sin[k * step] as number;
          const xr = (re[b] as number) * wr - (im[b] as number) * wi;
          const xi = (re[b] as number) * wi + (im[b] as number) * wr;
          re[b] = (re[a] as number) - xr;
          im[b] = (im[a] as number) - xi;
          re[a] = (re[a] as number) + xr;
          im[a] = (im[a] as number) + xi;
        }
      }
    }
  };
}

/** Any size as a circular convolution of a power of two (Bluestein 1970). */
function bluestein(size: number): Transform {
  const padded = 2 ** Math.ceil(Math.log2(2 * size - 1));
  const inner = radix2(padded);
  const { cos, sin } = roots(2 * size, 2 * size);
  // k² modulo 2·size, so that the angle stays exact for large k.
  const chirp = (k: number): [number, number] => [cos[(k * k) % (2 * size)] as number, sin[(k * k) % (2 * size)] as number];
  const filterRe = new Float64Array(padded);
  const filterIm = new Float64Array(padded);
  for (let k = 0; k < size; k++) {
    const [c, s] = chirp(k);
    filterRe[k] = filterRe[(padded - k) % padded] = c;
    filterIm[k] = filterIm[(padded - k) % padded] = -s;
  }
  inner(filterRe, filterIm);
  const a = new Float64Array(padded);
  const b = new Float64Array(padded);
  return (re, im) => {
    a.fill(0);
    b.fill(0);
    for (let k = 0; k < size; k++) {
      const [c, s] = chirp(k);
      a[k] = (re[k] as number) * c - (im[k] as number) * s;
      b[k] = (re[k] as number) * s + (im[k] as number) * c;
    }
    inner(a, b);
    for (let k = 0; k < padded; k++) {
      const [x, y, u, v] = [a[k], b[k], filterRe[k], filterIm[k]] as [number, number, number, number];
      a[k] = x * u - y * v;
      // Conjugated, so that the forward transform below is the inverse one.
      b[k] = -(x * v + y * u);
    }
    inner(a, b);
    for (let k = 0; k < size; k++) {
      const [c, s] = chirp(k);
      const x = (a[k] as number) / padded;
      const y = -(b[k] as number) / padded;
      re[k] = x * c - y * s;
      im[k] = x * s + y * c;
    }
  };
}

/** The transform of `size` points; tables are computed once. */
export function fft(size: number): Transform {
  return (size & (size - 1)) === 0 ? radix2(size) : bluestein(size);
}
