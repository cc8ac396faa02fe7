/** Zero crossings of the kernel on each side. */
const reach = 32;
/** Where the response is halved, as a part of half the lower rate: the transition ends there. */
const passed = 0.92;
/** Kaiser's window parameter: side lobes below −90 dB. */
const beta = 9;

/** Modified Bessel function of the first kind, order 0, by its power series. */
function bessel(x: number): number {
  let [sum, term] = [1, 1];
  for (let k = 1; term > sum * 1e-16; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

/**
 * Changes the sample rate by band-limited interpolation (Kaiser-windowed sinc), from `from` Hz to `to` Hz. What lies above half the
 * lower rate is removed. Beyond its ends the sound is silent.
 */
export function resample(samples: Float32Array, from: number, to: number): Float32Array {
  if (from === to) return samples;
  const cutoff = Math.min(1, to / from) * passed;
  const half = reach / cutoff;
  const scale = bessel(beta);
  // The kernel at 512 points a sample, read with linear interpolation.
  const fine = 512;
  const table = new Float64Array(Math.ceil(half * fine) + 2);
  for (let i = 0; i < half * fine; i++) {
    const x = i / fine;
    const sinc = x === 0 ? 1 : Math.sin(Math.PI * cutoff * x) / (Math.PI * cutoff * x);
    table[i] = (cutoff * sinc * bessel(beta * Math.sqrt(1 - (x / half) ** 2))) / scale;
  }
  const output = new Float32Array(Math.max(1, Math.round((samples.length * to) / from)));
  for (let i = 0; i < output.length; i++) {
    const centre = (i * from) / to;
    let sum = 0;
    for (let j = Math.max(0, Math.ceil(centre - half)); j <= Math.min(samples.length - 1, centre + half); j++) {
      const place = Math.abs(j - centre) * fine;
      const left = Math.floor(place);
      const [a, b] = [table[left] as number, table[left + 1] as number];
      sum += (samples[j] as number) * (a + (b - a) * (place - left));
    }
    output[i] = sum;
  }
  return output;
}
