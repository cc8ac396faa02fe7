import { functional, type nn, type Tensor } from 'weightnorm';
import { type ConvProblem, convReference, convTransposeReference, sourceIndex } from './conv-reference';
import { reducedAxes, weightNormReference } from './norm-reference';

/** float64 data [N, C, L]: what the reference networks compute with. */
export interface Signal {
  data: Float64Array;
  shape: [number, number, number];
}

export interface ReferenceConvOptions {
  stride?: number;
  dilation?: number;
  padding?: number | [number, number];
  outputPadding?: number;
  groups?: number;
}

/** The stored parameters of a model, as float64. */
export async function parametersOf(module: nn.Module): Promise<Map<string, { data: Float64Array; shape: readonly number[] }>> {
  const parameters = new Map<string, { data: Float64Array; shape: readonly number[] }>();
  for (const [name, tensor] of module.namedParameters()) parameters.set(name, { data: Float64Array.from(await tensor.read()), shape: tensor.shape });
  return parameters;
}

export async function signal(tensor: Tensor): Promise<Signal> {
  return { data: Float64Array.from(await tensor.read()), shape: [...tensor.shape] as [number, number, number] };
}

/** Layers in float64 over the parameters of a weight-normed model (dim 0), addressed by the layer's name. */
export class ReferenceNet {
  constructor(readonly parameters: Map<string, { data: Float64Array; shape: readonly number[] }>) {}

  weight(name: string): { data: Float64Array; shape: readonly number[] } {
    const plain = this.parameters.get(`${name}.weight`);
    if (plain) return plain;
    const v = this.parameters.get(`${name}.weight_v`);
    const g = this.parameters.get(`${name}.weight_g`);
    if (!v || !g) throw new Error(`no weight ${name}`);
    return { data: weightNormReference(v.data, g.data, v.shape, reducedAxes(v.shape.length, 0)).w, shape: v.shape };
  }

  conv(name: string, x: Signal, o: ReferenceConvOptions = {}): Signal {
    const { data, shape } = convReference(this.#problem(name, x, o));
    return { data, shape: [shape[0], shape[1], shape[3]] };
  }

  convTranspose(name: string, x: Signal, o: ReferenceConvOptions = {}): Signal {
    const { data, shape } = convTransposeReference(this.#problem(name, x, o));
    return { data, shape: [shape[0], shape[1], shape[3]] };
  }

  snake(name: string, x: Signal): Signal {
    const alpha = (this.parameters.get(`${name}.alpha`) as { data: Float64Array }).data;
    const [, channels, length] = x.shape;
    return map(x, (value, i) => {
      const a = alpha[Math.floor(i / length) % channels] as number;
      return value + Math.sin(a * value) ** 2 / (a + 1e-9);
    });
  }

  #problem(name: string, x: Signal, o: ReferenceConvOptions): ConvProblem {
    const weight = this.weight(name);
    const [left, right] = typeof o.padding === 'object' ? o.padding : [o.padding ?? 0, o.padding ?? 0];
    return {
      x: x.data,
      xShape: [x.shape[0], x.shape[1], 1, x.shape[2]],
      weight: weight.data,
      wShape: [weight.shape[0] as number, weight.shape[1] as number, 1, weight.shape[2] as number],
      bias: this.parameters.get(`${name}.bias`)?.data,
      stride: [1, o.stride ?? 1],
      dilation: [1, o.dilation ?? 1],
      padBegin: [0, left],
      padEnd: [0, right],
      outputPadding: [0, o.outputPadding ?? 0],
      groups: o.groups ?? 1,
    };
  }
}

export function map(x: Signal, fn: (value: number, index: number) => number): Signal {
  return { data: x.data.map(fn), shape: x.shape };
}

export const elu = (x: Signal): Signal => map(x, (value) => (value > 0 ? value : Math.expm1(value)));
export const tanh = (x: Signal): Signal => map(x, Math.tanh);
export const add = (a: Signal, b: Signal): Signal => map(a, (value, i) => value + (b.data[i] as number));
export const mul = (a: Signal, b: Signal): Signal => map(a, (value, i) => value * (b.data[i] as number));

/** Reflecting padding of the last axis. */
export function reflect(x: Signal, left: number, right: number): Signal {
  const [n, c, length] = x.shape;
  const width = length + left + right;
  const data = new Float64Array(n * c * width);
  for (let row = 0; row < n * c; row++) {
    for (let i = 0; i < width; i++) data[row * width + i] = x.data[row * length + sourceIndex(i - left, length, 'reflect')] as number;
  }
  return { data, shape: [n, c, width] };
}

/** The middle of a signal, `left` and `right` steps cut off. */
export function crop(x: Signal, left: number, right: number): Signal {
  const [n, c, length] = x.shape;
  const width = length - left - right;
  const data = new Float64Array(n * c * width);
  for (let row = 0; row < n * c; row++) data.set(x.data.subarray(row * length + left, row * length + left + width), row * width);
  return { data, shape: [n, c, width] };
}

/** Sets every g away from the norm of its v, so that a layer that forgets one of them is seen. */
export function perturbGains(module: nn.Module): void {
  for (const [name, tensor] of module.namedParameters()) {
    if (name.endsWith('weight_g'))
      tensor.write(
        functional
          .mul(tensor, 1.3)
          .readSync()
          .map((value, i) => value * (1 + 0.2 * Math.sin(i + name.length))),
      );
    if (name.endsWith('alpha')) tensor.write(Float32Array.from({ length: tensor.size }, (_, i) => 0.5 + 0.3 * (i % 5)));
  }
}
