import { describe, fail } from '../errors.js';

/** Zero crossings of the kernel on each side. */
const reach = 32;
/** Where the response is halved, as a part of half the lower rate: the transition ends there. */
const passed = 0.92;
/** Kaiser's window parameter: side lobes below −90 dB. */
const beta = 9;
/** Points of the kernel's table between zero crossings. */
const fine = 512;
/** How far rates may lie apart: what is made stays in proportion to what was given. */
const furthest = 256;
/** What a Float32Array may hold on every Node. */
const longest = 2 ** 31 - 1;

/** Modified Bessel function of the first kind, order 0, by its power series. */
function bessel(x: number): number {
  let [sum, term] = [1, 1];
  for (let k = 1; term > sum * 1e-16; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

/** sinc(x)·kaiser(x / reach) for x from 0 to `reach` zero crossings, and zeros to interpolate with. */
function makeKernel(): Float64Array {
  const table = new Float64Array(reach * fine + 2);
  const scale = bessel(beta);
  for (let i = 0; i < reach * fine; i++) {
    const x = i / fine;
    const sinc = x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
    table[i] = (sinc * bessel(beta * Math.sqrt(1 - (x / reach) ** 2))) / scale;
  }
  return table;
}

let kernel: Float64Array | undefined;

/**
 * Changes the sample rate by band-limited interpolation (Kaiser-windowed sinc; J. O. Smith, Digital Audio Resampling): what lies above half the
 * lower rate is removed, tones below 0.8 of it keep their shape within 1e-3. Beyond its ends the sound is silent. Computed in float64.
 * @param samples mono, any number of them
 * @param from their rate, in Hz
 * @param to the rate wanted, in Hz; at most 256 times higher or lower
 * @returns `[samples · to / from]` samples, rounded, at least one; a copy where the rates are equal
 * @throws WeightNormError ERR_ARGUMENT for rates that are not positive or too far apart, ERR_DTYPE for samples that are no Float32Array, ERR_SHAPE for
 *   none, or for more than 2^31 − 1 in the result.
 */
export function resample(samples: Float32Array, from: number, to: number): Float32Array<ArrayBuffer> {
  if (Object.prototype.toString.call(samples) !== '[object Float32Array]') fail('ERR_DTYPE', `samples is ${describe(samples)}; it must be a Float32Array`);
  for (const [name, rate] of Object.entries({ from, to }))
    if (typeof rate !== 'number' || !(rate > 0 && rate < Infinity))
      fail('ERR_ARGUMENT', `${name} is ${describe(rate)}; it must be a sample rate above 0, in Hz`);
  if (to > from * furthest || from > to * furthest)
    fail('ERR_ARGUMENT', `from is ${from} Hz and to is ${to} Hz; one may be at most ${furthest} times the other`);
  if (samples.length === 0) fail('ERR_SHAPE', 'samples is empty; at least one is needed');
  const length = Math.max(1, Math.round((samples.length * to) / from));
  if (length > longest) fail('ERR_SHAPE', `${samples.length} samples at ${from} Hz make ${length} at ${to} Hz; at most ${longest} are allowed`);
  if (from === to) return Float32Array.from(samples);

  kernel ??= makeKernel();
  const table = kernel;
  const cutoff = Math.min(1, to / from) * passed;
  const half = reach / cutoff;
  const output = new Float32Array(length);
  for (let i = 0; i < length; i++) {
    const centre = (i * from) / to;
    const last = Math.min(samples.length - 1, Math.floor(centre + half));
    let sum = 0;
    for (let j = Math.max(0, Math.ceil(centre - half)); j <= last; j++) {
      const place = Math.abs(j - centre) * cutoff * fine;
      const left = Math.floor(place);
      const a = table[left] as number;
      sum += (samples[j] as number) * (a + ((table[left + 1] as number) - a) * (place - left));
    }
    output[i] = sum * cutoff;
  }
  return output;
}
