import { HifiGan } from '../../audio/hifigan.js';
import { Device } from '../../device.js';
import { fail } from '../../errors.js';
import * as functional from '../../functional.js';
import { Conv1d, Conv2d, ConvTranspose1d } from '../../nn/conv.js';
import { Linear } from '../../nn/linear.js';
import type { Module } from '../../nn/module.js';
import { foldWeightNorm, weightNorm } from '../../nn/weight-norm.js';
import { scope } from '../../scope.js';
import type { Tensor } from '../../tensor.js';
import { distance, layerError, type Operands, opError } from './reference.js';
import type { Case, Variant } from './report.js';
import type { Timed } from './statistics.js';
import { referenceVocoder } from './vocoder-reference.js';

/** One way to compute a case. */
export interface Subject extends Timed {
  readonly variant: Variant;
  /** What it computes, on the host. */
  output(): Promise<Float32Array>;
  dispose(): void;
}

/** Bytes of results that calls timed together may queue: well inside a queue's bound. */
const largestQueue = 2 ** 27;

async function seconds(body: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await body();
  return (performance.now() - start) / 1000;
}

/** A case's tensors on a device, and what is computed from them. */
export class Workload {
  readonly item: Case;
  readonly device: Device;
  readonly #owned: Tensor[] = [];
  readonly #modules: Module[] = [];
  #operands: Operands | undefined;
  #expected: Float32Array | undefined;
  #state = new Map<string, Tensor>();

  constructor(item: Case, device: Device) {
    this.item = item;
    this.device = device;
  }

  /** The tensors a peer computes with: weight_v, weight_g, bias and x, or a generator's parameters and mel. */
  get tensors(): ReadonlyMap<string, Tensor> {
    return this.#state;
  }

  /** Makes parameters and input; all are the same on every device. */
  async prepare(): Promise<Subject[]> {
    const { item, device } = this;
    if (item.suite === 'vocoder') return this.#vocoders();
    const normal = (shape: number[], seed: number): Tensor => this.#own(device.randn(shape, { seed }));
    const v = normal(item.weight, 1);
    const gains = item.weight.map((size, axis) => (axis === 0 ? size : 1));
    const g = this.#own(
      device.tensor(
        Float32Array.from({ length: item.weight[0] as number }, (_, i) => 0.5 + ((i * 7) % 16) / 16),
        { shape: gains },
      ),
    );
    this.#state = new Map([
      ['weight_v', v],
      ['weight_g', g],
    ]);
    if (item.suite === 'layers') {
      const outputs = item.family === 'ConvTranspose1d' ? (item.weight[1] as number) * item.groups : (item.weight[0] as number);
      this.#state.set('bias', normal([outputs], 2)).set('x', normal(item.x, 3));
    } else {
      this.#state.set('grad_w', normal(item.weight, 4));
    }
    const host = async (name: string): Promise<Float32Array> => (await this.#state.get(name)?.read()) ?? new Float32Array();
    this.#operands = { v: await host('weight_v'), g: await host('weight_g'), bias: await host('bias'), x: await host('x'), gradient: await host('grad_w') };
    return item.suite === 'ops' ? this.#ops(v, g) : this.#layers();
  }

  /** Relative distance of an output to float64; of a vocoder's, to its layers' unfused arithmetic on the CPU. */
  error(variant: Variant, output: Float32Array): number {
    if (this.item.suite === 'vocoder') return distance(output, this.#expected as Float32Array);
    const operands = this.#operands as Operands;
    return this.item.suite === 'ops' ? opError(variant, operands, output) : layerError(this.item, operands, output);
  }

  dispose(): void {
    for (const module of this.#modules) module.dispose();
    for (const tensor of this.#owned) tensor.dispose();
  }

  #own(tensor: Tensor): Tensor {
    this.#owned.push(tensor);
    return tensor;
  }

  #ops(v: Tensor, g: Tensor): Subject[] {
    const gradient = this.#state.get('grad_w') as Tensor;
    const calls: Partial<Record<Variant, () => Tensor[]>> = {
      op: () => [functional.weightNorm(v, g)],
      copy: () => [v.clone()],
      norm: () => [functional.norm(v)],
      backward: () => Object.values(functional.weightNormBackward(gradient, v, g)),
    };
    return this.item.variants.map((variant) => this.#queued(variant, calls[variant] as () => Tensor[]));
  }

  /** Calls that are queued together and waited for once. */
  #queued(variant: Variant, call: () => Tensor[], bytes = 2 * (this.#state.get('weight_v') as Tensor).byteLength): Subject {
    const { device } = this;
    return {
      variant,
      mostRepeats: Math.max(1, Math.min(1000, Math.floor(largestQueue / bytes))),
      time: (repeats) =>
        seconds(async () => {
          for (let i = 0; i < repeats; i++) for (const tensor of call()) tensor.dispose();
          await device.synchronize();
        }),
      output: () => readAndDispose(call()),
      dispose: () => {},
    };
  }

  #layers(): Subject[] {
    const x = this.#state.get('x') as Tensor;
    // Each has weights of its own: what was just written is slower to read for some forwards after, and what two use stays in a cache.
    const [live, written, folded, once] = [this.#layer(), this.#layer(), this.#layer(), this.#layer()];
    for (const layer of [folded, once]) foldWeightNorm(layer);
    const variants: Partial<Record<Variant, () => Subject>> = {
      live: () => this.#queued('live', () => [live.forward(x)], x.byteLength * 2),
      folded: () => this.#queued('folded', () => [folded.forward(x)], x.byteLength * 2),
      once: () => this.#awaited('once', () => once.forward(x)),
      written: () => this.#awaited('written', () => written.forward(x), written),
    };
    return this.item.variants.map((variant) => (variants[variant] as () => Subject)());
  }

  #layer(): Module {
    const { family, weight, stride, padding, dilation, groups } = this.item;
    const [first, second, ...kernel] = weight as [number, number, ...number[]];
    const geometry = { stride, padding, dilation, groups, device: this.device };
    const make = (): Module => {
      if (family === 'Linear') return new Linear(second, first, { device: this.device });
      if (family === 'ConvTranspose1d') return new ConvTranspose1d(first, second * groups, kernel, geometry);
      return new (family === 'Conv1d' ? Conv1d : Conv2d)(second * groups, first, kernel, { ...geometry, padding: padding.map((p) => [p, p] as const) });
    };
    const layer = weightNorm(make());
    this.#modules.push(layer);
    layer.loadStateDict(new Map([...this.#state].filter(([name]) => name !== 'x')));
    return layer;
  }

  /** Forwards that are waited for one by one; with `written`, every g and v of it is written, and that done, before each. */
  #awaited(variant: Variant, forward: () => Tensor, written?: Module): Subject {
    const { device } = this;
    let values: [Tensor, Float32Array][] | undefined;
    const finish = this.item.suite === 'vocoder' ? (y: Tensor): Promise<unknown> => y.read() : (): Promise<void> => device.synchronize();
    return {
      variant,
      mostRepeats: 200,
      time: async (repeats) => {
        let total = 0;
        if (written) values ??= await parametersOf(written);
        for (let i = 0; i < repeats; i++) {
          for (const [tensor, data] of values ?? []) tensor.write(data);
          if (values) await device.synchronize();
          total += await seconds(async () => {
            const y = forward();
            await finish(y);
            y.dispose();
          });
        }
        return total;
      },
      output: () => readAndDispose([forward()]),
      dispose: () => {},
    };
  }

  async #vocoders(): Promise<Subject[]> {
    const { item, device } = this;
    const config = item.config ?? fail('ERR_ARGUMENT', 'a vocoder needs its config');
    const live = item.model ? await HifiGan.load(item.model, { device }) : new HifiGan(config, { device });
    this.#modules.push(live);
    this.#state = new Map(live.stateDict());
    const copyOf = (algorithm: 'auto' | 'direct'): HifiGan => {
      const model = new HifiGan(config, { device, init: 'zeros', algorithm });
      this.#modules.push(model);
      model.loadStateDict(new Map(this.#state));
      return model;
    };
    const [written, folded, direct] = [copyOf('auto'), copyOf('auto'), copyOf('direct')];
    foldWeightNorm(folded);
    foldWeightNorm(direct);
    const mel = this.#own(device.randn(item.x, { seed: 3 }));
    this.#state.set('mel', mel);
    this.#expected = await expectedWaveform(live, mel);
    const variants: Partial<Record<Variant, () => Subject>> = {
      live: () => this.#awaited('live', () => live.forward(mel)),
      folded: () => this.#awaited('folded', () => folded.forward(mel)),
      direct: () => this.#awaited('direct', () => direct.forward(mel)),
      written: () => this.#awaited('written', () => written.forward(mel), written),
    };
    return item.variants.map((variant) => (variants[variant] as () => Subject)());
  }
}

async function expectedWaveform(model: HifiGan, mel: Tensor): Promise<Float32Array> {
  const cpu = Device.get('cpu');
  const waveform = scope(() => {
    const state = new Map([...model.stateDict({ naming: 'folded' })].map(([name, tensor]) => [name, tensor.device === cpu ? tensor : tensor.to(cpu)]));
    return referenceVocoder(model.config, state, mel.device === cpu ? mel : mel.to(cpu));
  });
  return readAndDispose([waveform]);
}

async function parametersOf(module: Module): Promise<[Tensor, Float32Array][]> {
  const named = [...module.namedParameters()].filter(([name]) => /weight_[gv]$/.test(name));
  return Promise.all(named.map(async ([, tensor]): Promise<[Tensor, Float32Array]> => [tensor, await tensor.read()]));
}

async function readAndDispose(tensors: Tensor[]): Promise<Float32Array> {
  const [first, ...rest] = tensors;
  for (const tensor of rest) tensor.dispose();
  const values = await (first as Tensor).read();
  first?.dispose();
  return values;
}
