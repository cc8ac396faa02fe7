import type { audio } from 'weightnorm';
import { generator } from './random';

/** HiFi-GAN's generator in float64, layer after layer as its authors wrote it: nothing fused, weights materialised. */

type Matrix = Float64Array[];
type State = ReadonlyMap<string, { shape: readonly number[]; data: ArrayLike<number> }>;

/** Names and shapes of the official checkpoint of a config, with values that keep signals near 1 through every layer. */
export function randomState(config: audio.HifiGanConfig, seed: number): Map<string, { shape: number[]; data: Float32Array }> {
  const random = generator(seed);
  const state = new Map<string, { shape: number[]; data: Float32Array }>();
  const fill = (name: string, shape: number[], low: number, high: number): void => {
    const size = shape.reduce((product, dim) => product * dim, 1);
    const data = new Float32Array(size);
    for (let i = 0; i < size; i++) data[i] = low + (high - low) * random();
    state.set(name, { shape, data });
  };
  const layer = (name: string, v: number[], outputs: number): void => {
    fill(`${name}.weight_g`, [v[0] as number, 1, 1], 0.5, 1.2);
    fill(`${name}.weight_v`, v, -1, 1);
    fill(`${name}.bias`, [outputs], -0.1, 0.1);
  };
  const initial = config.upsample_initial_channel;
  layer('conv_pre', [initial, config.num_mels ?? 80, 7], initial);
  config.upsample_rates.forEach((_, i) => {
    const [wide, narrow] = [Math.floor(initial / 2 ** i), Math.floor(initial / 2 ** (i + 1))];
    layer(`ups.${i}`, [wide, narrow, config.upsample_kernel_sizes[i] as number], narrow);
    config.resblock_kernel_sizes.forEach((kernel, j) => {
      const block = `resblocks.${i * config.resblock_kernel_sizes.length + j}`;
      (config.resblock_dilation_sizes[j] as number[]).forEach((_dilation, d) => {
        for (const list of config.resblock === '1' ? ['convs1', 'convs2'] : ['convs']) layer(`${block}.${list}.${d}`, [narrow, narrow, kernel], narrow);
      });
    });
  });
  const last = Math.floor(initial / 2 ** config.upsample_rates.length);
  layer('conv_post', [1, last, 7], 1);
  return state;
}

/** The waveform of a mel [mels][frames]. */
export function hifiganReference(config: audio.HifiGanConfig, state: State, mel: Matrix): Float64Array {
  const conv = (name: string, x: Matrix, dilation = 1): Matrix => convolve(x, plain(state, name), biasOf(state, name), dilation);
  let x = conv('conv_pre', mel);
  config.upsample_rates.forEach((rate, i) => {
    x = transposedConvolve(leaky(x, 0.1), plain(state, `ups.${i}`), biasOf(state, `ups.${i}`), rate);
    const outputs = config.resblock_kernel_sizes.map((_, j) => {
      const block = `resblocks.${i * config.resblock_kernel_sizes.length + j}`;
      let y = x;
      (config.resblock_dilation_sizes[j] as number[]).forEach((dilation, d) => {
        const inner =
          config.resblock === '1'
            ? conv(`${block}.convs2.${d}`, leaky(conv(`${block}.convs1.${d}`, leaky(y, 0.1), dilation), 0.1))
            : conv(`${block}.convs.${d}`, leaky(y, 0.1), dilation);
        y = y.map((row, c) => row.map((value, t) => value + at(inner, c, t)));
      });
      return y;
    });
    x = x.map((row, c) => row.map((_, t) => outputs.reduce((sum, y) => sum + at(y, c, t), 0) / outputs.length));
  });
  return (conv('conv_post', leaky(x, 0.01))[0] as Float64Array).map(Math.tanh);
}

const at = (x: Matrix, row: number, column: number): number => (x[row] as Float64Array)[column] as number;
const leaky = (x: Matrix, slope: number): Matrix => x.map((row) => row.map((value) => (value < 0 ? value * slope : value)));
const biasOf = (state: State, name: string): ArrayLike<number> => (state.get(`${name}.bias`) as { data: ArrayLike<number> }).data;

interface Weight {
  /** [first][second][kernel], flat. */
  data: Float64Array;
  shape: [number, number, number];
}

/** w = g · v / ‖v‖, the norm over all axes but the first. */
function plain(state: State, name: string): Weight {
  const v = state.get(`${name}.weight_v`);
  const g = state.get(`${name}.weight_g`);
  if (!v || !g) throw new Error(`the reference has no ${name}`);
  const data = new Float64Array(v.data);
  const row = data.length / (v.shape[0] as number);
  for (let start = 0; start < data.length; start += row) {
    let sum = 0;
    for (let i = start; i < start + row; i++) sum += (data[i] as number) ** 2;
    const scale = (g.data[start / row] as number) / Math.sqrt(sum);
    for (let i = start; i < start + row; i++) data[i] = (data[i] as number) * scale;
  }
  return { data, shape: [...v.shape] as Weight['shape'] };
}

/** 'Same' convolution by an odd reach; weight [out][in][kernel]. */
function convolve(x: Matrix, weight: Weight, bias: ArrayLike<number>, dilation: number): Matrix {
  const length = (x[0] as Float64Array).length;
  const [outputs, inputs, kernel] = weight.shape;
  return Array.from({ length: outputs }, (_, out) => {
    const y = new Float64Array(length).fill(bias[out] as number);
    for (let c = 0; c < inputs; c++) {
      const row = x[c] as Float64Array;
      for (let k = 0; k < kernel; k++) {
        const tap = weight.data[(out * inputs + c) * kernel + k] as number;
        const shift = (k - (kernel - 1) / 2) * dilation;
        const end = Math.min(length, length - shift);
        for (let t = Math.max(0, -shift); t < end; t++) y[t] = (y[t] as number) + tap * (row[t + shift] as number);
      }
    }
    return y;
  });
}

/** torch's conv_transpose1d with padding ⌊(kernel − stride)/2⌋; weight [in][out][kernel]. */
function transposedConvolve(x: Matrix, weight: Weight, bias: ArrayLike<number>, stride: number): Matrix {
  const length = (x[0] as Float64Array).length;
  const [inputs, outputs, kernel] = weight.shape;
  const padding = Math.floor((kernel - stride) / 2);
  const longer = (length - 1) * stride - 2 * padding + kernel;
  return Array.from({ length: outputs }, (_, out) => {
    const y = new Float64Array(longer).fill(bias[out] as number);
    for (let c = 0; c < inputs; c++) {
      const row = x[c] as Float64Array;
      for (let k = 0; k < kernel; k++) {
        const tap = weight.data[(c * outputs + out) * kernel + k] as number;
        for (let t = 0; t < length; t++) {
          const position = t * stride + k - padding;
          if (position >= 0 && position < longer) y[position] = (y[position] as number) + tap * (row[t] as number);
        }
      }
    }
    return y;
  });
}
