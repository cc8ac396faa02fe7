import { reduceMask } from '../axes.js';
import { type AnyConvOptions, convGeometry } from '../conv-options.js';
import type { Device } from '../device.js';
import type { DType } from '../dtype.js';
import * as F from '../functional.js';
import { type ConvFusion, convFused, scales } from '../fused.js';
import { Conv1d, type ConvLayerOptions, ConvTranspose1d } from '../nn/index.js';
import type { Tensor } from '../tensor.js';

/**
 * One check: the same inputs on the device and on the CPU, then a comparison. `terms` makes it relative, ‖y − ref‖/‖ref‖
 * for sums of that many terms; without it every element may differ by 8 ulp of the largest magnitude in its tensor's row.
 */
export interface DoctorCase {
  name: string;
  terms?: number;
  /** Its elements are small differences of large terms, as gradients of v, which are promised within 16 ulp of the largest term. */
  cancels?: boolean;
  /** Too large for a simulated device. */
  heavy?: boolean;
  run(make: Make): Tensor[];
}

/** Inputs of a case: normal values in the dtype under test, the same on every device. */
export interface Make {
  device: Device;
  dtype: DType;
  randn(...shape: number[]): Tensor;
}

function normCases(): DoctorCase[] {
  // Rows that are held by lanes of a SIMD group, by a threadgroup, looped over and split; with and without whole vectors.
  const rows = [
    1, 3, 8, 17, 32, 33, 64, 100, 101, 128, 129, 255, 256, 400, 511, 512, 513, 1000, 1024, 2040, 2048, 3001, 4096, 4099, 6000, 8200, 20_000, 20_001, 70_000,
    140_001,
  ];
  const shapes: [string, number[], F.NormAxes][] = [
    ...rows.map((columns): [string, number[], F.NormAxes] => [`rows of ${columns}`, [columns > 2048 ? 2 : 5, columns], {}]),
    ['whole tensor', [40, 60], { dim: null }],
    ['columns', [70, 33], { dim: 1 }],
    ['columns, whole vectors', [300, 64], { dim: 1 }],
    ['many columns', [5, 3000], { dim: 1 }],
    ['tall columns', [5000, 8], { dim: -1 }],
    ['tall columns, one by one', [5000, 3], { dim: -1 }],
    ['kept in the middle', [6, 20, 7], { dim: 1 }],
    ['axes 0 and 2', [5, 12, 9, 4], { axes: [0, 2] }],
    ['axes 1 and 3', [5, 12, 9, 4], { axes: [1, 3] }],
    ['axis 1', [3, 40, 8], { axes: [1] }],
    ['eight axes', [2, 3, 2, 3, 2, 2, 2, 3], { axes: [1, 4, 6] }],
  ];
  for (const columns of [4099, 16_388, 32_776]) shapes.push([`many rows of ${columns}`, [1024, columns], {}]);
  return shapes.flatMap(([name, shape, axes]): DoctorCase[] => [
    { name: `weight norm, ${name}`, heavy: isHeavy(shape), run: ({ randn }) => [F.weightNorm(randn(...shape), gainOf(randn, shape, axes), axes)] },
    { name: `norm, ${name}`, heavy: isHeavy(shape), run: ({ randn }) => [F.norm(randn(...shape), axes)] },
    {
      name: `weight norm backward, ${name}`,
      cancels: true,
      heavy: isHeavy(shape),
      run: ({ randn }) => {
        const { gradV, gradG } = F.weightNormBackward(randn(...shape), randn(...shape), gainOf(randn, shape, axes), axes);
        // Rows of one element have a gradV of 0: nothing but the rounding of what cancels.
        return shape[1] === 1 ? [gradG] : [gradV, gradG];
      },
    },
  ]);
}

const isHeavy = (shape: readonly number[]): boolean => shape.reduce((a, b) => a * b, 1) > 1e6;

function gainOf(randn: Make['randn'], shape: number[], axes: F.NormAxes): Tensor {
  const mask = reduceMask(shape.length, axes);
  return randn(...shape.map((dim, axis) => ((mask >> axis) & 1 ? 1 : dim)));
}

function convCases(): DoctorCase[] {
  const fused: [string, ConvFusion][] = [
    ['plain', {}],
    ['leaky ReLU before, tanh after', { pre: { kind: 'leakyRelu', param: 0.1 }, post: { kind: 'tanh' } }],
    ['ELU before, GELU after', { pre: { kind: 'elu', param: 1 }, post: { kind: 'gelu' } }],
  ];
  const shapes: { name: string; x: number[]; w: number[]; options: AnyConvOptions; transposed?: boolean }[] = [
    { name: '40 to 24 channels, kernel 3', x: [2, 40, 70], w: [24, 40, 3], options: { padding: 1 } },
    { name: '33 to 65 channels, kernel 7, dilation 3', x: [1, 33, 100], w: [65, 33, 7], options: { padding: 9, dilation: 3 } },
    { name: '128 to 128 channels', x: [1, 128, 130], w: [128, 128, 3], options: { padding: 1 } },
    { name: '64 channels, many positions', x: [1, 8, 4100], w: [64, 8, 1], options: {} },
    { name: '20 channels, many positions', x: [1, 8, 4100], w: [20, 8, 1], options: {} },
    { name: '4,100 channels, few positions', x: [1, 4, 20], w: [4100, 4, 1], options: {} },
    { name: 'few channels', x: [1, 2, 90], w: [3, 2, 5], options: { stride: 2 } },
    { name: 'one output channel', x: [1, 16, 200], w: [1, 16, 7], options: { padding: 3 } },
    { name: 'depthwise', x: [1, 24, 60], w: [24, 1, 7], options: { groups: 24, padding: 3 } },
    { name: 'grouped', x: [1, 32, 50], w: [48, 8, 3], options: { groups: 4 } },
    { name: 'reflected edges', x: [1, 12, 40], w: [20, 12, 5], options: { padding: [2, 3], paddingMode: 'reflect' } },
    { name: 'replicated edges', x: [1, 12, 40], w: [20, 12, 5], options: { padding: 4, paddingMode: 'replicate' } },
    { name: 'circular edges', x: [1, 12, 40], w: [20, 12, 5], options: { padding: 4, paddingMode: 'circular' } },
    { name: '2-D, 12 to 20 channels', x: [1, 12, 9, 17], w: [20, 12, 3, 3], options: { padding: 1 } },
    { name: '2-D, stride 3', x: [2, 8, 20, 11], w: [16, 8, 5, 1], options: { stride: [3, 1], padding: [2, 0] } },
    { name: 'transposed, stride 8', x: [1, 32, 21], w: [32, 16, 16], options: { stride: 8, padding: 4 }, transposed: true },
    { name: 'transposed, stride 2, grouped', x: [1, 12, 30], w: [12, 4, 5], options: { stride: 2, groups: 2, outputPadding: 1 }, transposed: true },
    { name: 'transposed 2-D', x: [1, 8, 6, 7], w: [8, 6, 3, 4], options: { stride: [1, 2], padding: 1 }, transposed: true },
  ];
  return shapes.flatMap(({ name, x, w, options, transposed = false }) => {
    const outputs = transposed ? (w[1] as number) * (options.groups ?? 1) : (w[0] as number);
    const terms = w.slice(1).reduce((a, b) => a * b, 1) * (transposed ? (w[0] as number) / (w[1] as number) : 1);
    return fused.map(
      ([label, fusion]): DoctorCase => ({
        name: `convolution, ${name}, ${label}`,
        terms,
        run: ({ randn, device }) => {
          const scale = device.randn([transposed ? (w[0] as number) : outputs], { seed: 99 });
          return [
            convFused(
              randn(...x),
              { weight: randn(...w), scale, scalePerInput: transposed },
              randn(outputs),
              convGeometry(w.slice(2), options, transposed),
              fusion,
            ),
          ];
        },
      }),
    );
  });
}

function productCases(): DoctorCase[] {
  const shapes = [
    [1, 64, 48],
    [3, 33, 65],
    [20, 40, 30],
    [70, 129, 66],
    [600, 40, 520],
    [260, 260, 260],
  ] as const;
  return shapes.flatMap(([rows, inputs, outputs]): DoctorCase[] => [
    {
      name: `linear, ${rows}×${inputs}×${outputs}`,
      terms: inputs,
      run: ({ randn }) => [F.linear(randn(rows, inputs), randn(outputs, inputs), randn(outputs))],
    },
    { name: `linear, ${rows}×${inputs}×${outputs}, no bias`, terms: inputs, run: ({ randn }) => [F.linear(randn(rows, inputs), randn(outputs, inputs))] },
    { name: `matrix product, ${rows}×${inputs}×${outputs}`, terms: inputs, run: ({ randn }) => [F.matmul(randn(rows, inputs), randn(inputs, outputs))] },
  ]);
}

function otherCases(): DoctorCase[] {
  const activations: [string, (x: Tensor) => Tensor][] = [
    ['leaky ReLU', (x) => F.leakyRelu(x, 0.1)],
    ['ReLU', F.relu],
    ['ELU', F.elu],
    ['GELU', F.gelu],
    ['SiLU', F.silu],
    ['sigmoid', F.sigmoid],
    ['tanh', F.tanh],
    ['exp', F.exp],
    ['sin', F.sin],
    ['pow', (x) => F.pow(x, 2)],
  ];
  return [
    ...activations.map(([name, run]): DoctorCase => ({ name, run: ({ randn }) => [run(randn(3, 7, 41))] })),
    { name: 'snake', run: ({ randn }) => [F.snake(randn(2, 5, 41), randn(5)), F.snake(randn(2, 5, 40), randn(5), { logScale: true })] },
    {
      name: 'arithmetic',
      run: ({ randn }) => {
        const [a, b, row] = [randn(4, 6, 20), randn(4, 6, 20), randn(6, 1)];
        return [F.add(a, b), F.sub(a, row), F.mul(a, 2), F.div(a, F.add(F.pow(b, 2), 1)), F.sub(1, a)];
      },
    },
    {
      name: 'sums',
      terms: 400,
      run: ({ randn }) => [
        F.sum(F.pow(randn(20, 400), 2), [1]),
        F.mean(F.pow(randn(400, 20), 2), [0]),
        F.sum(F.pow(randn(5, 400, 3), 2), [1]),
        F.sum(F.pow(randn(10, 4001), 2)),
        F.sum(F.pow(randn(4, 20, 5, 20), 2), [1, 3]),
      ],
    },
    { name: 'transposes', run: ({ randn }) => [randn(33, 65).transpose(), randn(4, 5, 6, 7).transpose([0, 2, 1, 3]), randn(3, 40, 50).transpose([2, 0, 1])] },
    { name: 'padding', run: ({ randn }) => (['zeros', 'reflect', 'replicate', 'circular'] as const).map((mode) => F.pad(randn(3, 20), [4, 5], { mode })) },
    {
      name: 'narrow, cat, interpolate',
      run: ({ randn }) => [
        ...[1, 2, 4, 8].map((unit) => F.narrow(randn(4, 8 * unit), 1, 3 * unit, 4 * unit)),
        ...[1, 2, 4, 8].map((unit) => F.cat([randn(2, 3, unit), randn(2, 5, unit)], 1)),
        F.interpolate(randn(3, 17), 4),
      ],
    },
    { name: 'fill', run: ({ device, dtype }) => [device.full([3, 5], 0.1, dtype), device.ones([2000], dtype)] },
    { name: 'casts', run: ({ randn }) => [randn(100).to('float32'), randn(100).to('float16').to('float32'), randn(100).to('bfloat16').to('float32')] },
    {
      name: 'scales of several layers at once',
      run: ({ randn }) =>
        scales([
          { v: randn(8, 30), g: randn(8, 1), reduce: 2, eps: undefined },
          { v: randn(16, 5, 7), g: randn(16, 1, 1), reduce: 6, eps: 1e-12 },
          { v: randn(12, 40), g: randn(1, 40), reduce: 1, eps: undefined },
          { v: randn(9, 9), g: randn(1, 1), reduce: 3, eps: undefined },
          { v: randn(3, 5000), g: randn(3, 1), reduce: 2, eps: undefined },
        ]),
    },
  ];
}

/** Pushes of a stream: what is kept of one and read by the next, in both kernels of convolutions. */
function streamCases(): DoctorCase[] {
  const layers: [string, number, (options: ConvLayerOptions) => Conv1d | ConvTranspose1d][] = [
    ['40 to 24 channels', 40 * 5, (options) => new Conv1d(40, 24, 5, { ...options, dilation: 2, padding: 4 })],
    ['9 to 2 channels', 9 * 7, (options) => new Conv1d(9, 2, 7, { ...options, padding: 3 })],
    ['transposed', 16 * 2, (options) => new ConvTranspose1d(16, 12, 8, { ...options, stride: 4, padding: 2 })],
  ];
  return layers.map(([name, terms, make]) => ({
    name: `stream of a convolution, ${name}`,
    terms,
    run: ({ device, dtype, randn }) => {
      const layer = make({ device, dtype, seed: 5 });
      const stream = layer.stream();
      const pushed = [7, 1, 12].map((steps) => stream.push(randn(2, layer.inChannels, steps)));
      const outputs = [...pushed, stream.flush()].filter((tensor) => tensor !== null);
      layer.dispose();
      return outputs;
    },
  }));
}

/** Every check of `weightnorm doctor`; together they reach every kernel. */
export function doctorCases(): DoctorCase[] {
  return [...normCases(), ...convCases(), ...streamCases(), ...productCases(), ...otherCases()];
}
