import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { Device } from '../device.js';
import type { DType } from '../dtype.js';
import { describe, fail, WeightNormError } from '../errors.js';
import { narrow } from '../functional.js';
import { checkPath, ioError, readText } from '../io/file.js';
import { parseJson } from '../io/json.js';
import { type LoadedTensors, loadSafetensors } from '../io/safetensors.js';
import { WeightNormConv1d, WeightNormConvTranspose1d } from '../nn/weight-norm-layers.js';
import { Module } from '../nn/module.js';
import { scope } from '../scope.js';
import { nativeOf, Tensor } from '../tensor.js';
import { checkHifiGanConfig, type HifiGanConfig } from './hifigan-config.js';
import { checkMelConfig, type Mel, type MelConfig } from './mel.js';
import { leaky, type ResBlock, ResBlock1, ResBlock2 } from './resblock.js';

export interface HifiGanOptions {
  /** Default: {@link Device.default}. */
  device?: Device;
  /** Of parameters and activations. Default float32. */
  dtype?: DType;
  /** 'zeros': for a model whose weights are loaded next. Default 'uniform', as in torch. */
  init?: 'uniform' | 'zeros';
}

export interface SynthesizeOptions {
  /** Rejects with ERR_ABORTED when it aborts; work already queued still runs. */
  signal?: AbortSignal | undefined;
  /** Called after each stage with the part of the arithmetic that is done, from 0 to 1. */
  onProgress?: ((fraction: number) => void) | undefined;
}

const largestConfig = 1 << 20;

/** HiFi-GAN's generator (Kong et al. 2020): log-mel spectrograms to waveforms. Its parameters have the official names. */
export class HifiGan extends Module {
  readonly config: HifiGanConfig & { num_mels: number };
  /** Samples a frame becomes. */
  readonly hop: number;
  readonly conv_pre: WeightNormConv1d;
  readonly ups: WeightNormConvTranspose1d[];
  readonly resblocks: ResBlock[];
  readonly conv_post: WeightNormConv1d;

  /** A generator with fresh weights; see {@link HifiGan.load} for trained ones. Throws ERR_FORMAT naming the key of a bad config. */
  constructor(config: HifiGanConfig, options: HifiGanOptions = {}) {
    super();
    this.config = checkHifiGanConfig(config, 'config');
    const { upsample_rates: rates, upsample_kernel_sizes: kernels, upsample_initial_channel: initial, num_mels: mels } = this.config;
    this.hop = rates.reduce((product, rate) => product * rate, 1);
    const channels = (stage: number): number => Math.floor(initial / 2 ** stage);
    this.conv_pre = new WeightNormConv1d(mels, initial, 7, { ...options, padding: 3 });
    this.ups = rates.map((stride, i) => {
      const kernel = kernels[i] as number;
      return new WeightNormConvTranspose1d(channels(i), channels(i + 1), kernel, { ...options, stride, padding: Math.floor((kernel - stride) / 2) });
    });
    const Block = this.config.resblock === '1' ? ResBlock1 : ResBlock2;
    this.resblocks = rates.flatMap((_, i) =>
      this.config.resblock_kernel_sizes.map((kernel, j) => new Block(channels(i + 1), kernel, this.config.resblock_dilation_sizes[j] as number[], options)),
    );
    this.conv_post = new WeightNormConv1d(channels(rates.length), 1, 7, { ...options, padding: 3 });
  }

  /**
   * Loads a generator from a folder with HiFi-GAN's `config.json` and its weights in one or more `*.safetensors`, in any
   * spelling of weight norm. Parameters take `options.dtype`, float32 by default, whatever the file's.
   * @throws WeightNormError ERR_IO for missing files, ERR_FORMAT for bad ones, ERR_KEYS where the weights do not fit the config.
   */
  static async load(directory: string, options: HifiGanOptions = {}): Promise<HifiGan> {
    const file = path.join(checkPath(directory, 'directory'), 'config.json');
    const config = checkHifiGanConfig(parseJson(await readText(file, largestConfig), file), file);
    const device = options.device ?? Device.default();
    const state = await loadFolder(directory, device);
    const model = new HifiGan(config, { ...options, device, init: 'zeros' });
    try {
      model.loadStateDict(state);
      return model;
    } catch (error) {
      model.dispose();
      if (error instanceof WeightNormError) fail(error.code, `${directory}: ${error.message}`, error);
      throw error;
    } finally {
      for (const tensor of state.values()) tensor.dispose();
    }
  }

  /** The front end this model was trained with. Throws ERR_FORMAT if its config does not say. */
  get melConfig(): MelConfig {
    return checkMelConfig(this.config, 'config.json');
  }

  /**
   * @param mel `[N, num_mels, frames]`, natural logarithms, in the model's dtype
   * @returns `[N, 1, frames · hop]`, full scale ±1. Where a kernel size and its rate differ by an odd number, torch's output is
   *   longer by a few samples; they are cut.
   */
  override forward(mel: Tensor): Tensor {
    return this.#generate(mel);
  }

  #generate(mel: Tensor, onStage: () => void = () => {}): Tensor {
    const frames = this.#checkMel(mel);
    return scope(() => {
      let x = this.conv_pre.forward(mel);
      const replace = (next: Tensor): void => {
        x.dispose();
        x = next;
      };
      onStage();
      const count = this.config.resblock_kernel_sizes.length;
      this.ups.forEach((up, stage) => {
        replace(up.fused(x, { pre: leaky }));
        let sum: Tensor | undefined;
        this.resblocks.slice(stage * count, (stage + 1) * count).forEach((block, i) => {
          const next = block.accumulate(x, { running: sum, ...(i === count - 1 && { outScale: 1 / count }) });
          sum?.dispose();
          sum = next;
        });
        replace(sum as unknown as Tensor);
        onStage();
      });
      // torch's default slope here, not the 0.1 of the other layers.
      replace(this.conv_post.fused(x, { pre: { kind: 'leakyRelu', param: 0.01 }, post: { kind: 'tanh' } }));
      if ((x.shape[2] as number) > frames * this.hop) replace(narrow(x, 2, 0, frames * this.hop));
      onStage();
      return x;
    });
  }

  #checkMel(mel: Tensor): number {
    nativeOf(mel, 'mel');
    const { num_mels: mels } = this.config;
    const [, bands, frames] = mel.shape;
    if (mel.shape.length !== 3 || bands !== mels) fail('ERR_SHAPE', `mel has shape [${mel.shape.join(', ')}]; it must be [N, ${mels}, frames]: this model takes ${mels} mel bands`);
    const bias = this.#parameter;
    if (mel.device !== bias.device) fail('ERR_DEVICE', `mel is on ${mel.device}; the model is on ${bias.device}`);
    if (mel.dtype !== bias.dtype) fail('ERR_DTYPE', `mel is ${mel.dtype}; the model is ${bias.dtype}`);
    return frames as number;
  }

  get #parameter(): Tensor {
    return this.conv_pre.bias as Tensor;
  }

  /**
   * Synthesises one waveform. The event loop is never blocked.
   * @param mel a tensor `[num_mels, frames]` or `[1, num_mels, frames]`, or the values that {@link melSpectrogram} returns
   * @returns frames · hop samples, full scale ±1
   * @throws WeightNormError ERR_SHAPE for a wrong number of bands, ERR_ABORTED when `options.signal` aborts.
   */
  async synthesize(mel: Tensor | Mel, options: SynthesizeOptions = {}): Promise<Float32Array> {
    const { signal, onProgress } = options;
    const aborted = (): never => fail('ERR_ABORTED', 'synthesis was aborted', signal?.reason);
    if (signal?.aborted) aborted();
    const samples = scope(() => {
      const output = this.#generate(this.#batchOfOne(mel), onProgress && this.#progress(onProgress));
      const values = output.read();
      output.dispose();
      return { values };
    }).values;
    if (!signal) return samples;
    let stop = (): void => {};
    const abort = new Promise<never>((_, reject) => {
      stop = () => reject(new WeightNormError('ERR_ABORTED', 'synthesis was aborted', { cause: signal.reason }));
      signal.addEventListener('abort', stop, { once: true });
    });
    try {
      return await Promise.race([samples, abort]);
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  #batchOfOne(mel: Tensor | Mel): Tensor {
    const { num_mels: mels } = this.config;
    if (Tensor.is(mel)) {
      const { shape } = mel;
      if (shape.length === 2) return mel.reshape([1, ...shape]);
      if (shape.length !== 3 || shape[0] !== 1) fail('ERR_SHAPE', `mel has shape [${shape.join(', ')}]; it must be [${mels}, frames] or [1, ${mels}, frames]`);
      return mel;
    }
    if (typeof mel !== 'object' || mel === null || !ArrayBuffer.isView(mel.data)) fail('ERR_ARGUMENT', `mel is ${describe(mel)}; it must be a Tensor or { data, mels, frames }`);
    if (mel.mels !== mels) fail('ERR_SHAPE', `mel has ${describe(mel.mels)} bands; this model takes ${mels}`);
    if (!Number.isSafeInteger(mel.frames) || mel.frames < 1 || mel.data.length !== mels * mel.frames) {
      fail('ERR_SHAPE', `mel has ${mel.data.length} values and ${describe(mel.frames)} frames; ${mels} bands need ${mels} values for each of at least 1 frame`);
    }
    return this.#parameter.device.tensor(mel.data, { shape: [1, mels, mel.frames], dtype: this.#parameter.dtype });
  }

  /** Reports the part of the multiplications that is done as the queue passes the end of each stage. */
  #progress(report: (fraction: number) => void): () => void {
    const { config } = this;
    let length = 1;
    const work = [config.num_mels * config.upsample_initial_channel * 7];
    config.upsample_rates.forEach((rate, stage) => {
      length *= rate;
      const channels = Math.floor(config.upsample_initial_channel / 2 ** (stage + 1));
      const blocks = config.resblock_kernel_sizes.reduce((sum, kernel, i) => sum + kernel * (config.resblock_dilation_sizes[i] as number[]).length, 0);
      work.push(length * channels * channels * (blocks * (config.resblock === '1' ? 2 : 1) + (2 * (config.upsample_kernel_sizes[stage] as number)) / rate));
    });
    work.push(length * Math.floor(config.upsample_initial_channel / 2 ** config.upsample_rates.length) * 7);
    const total = work.reduce((sum, part) => sum + part, 0);
    let done = 0;
    return () => {
      done += work.shift() as number;
      const fraction = done / total;
      // A failure is reported by the read of the result.
      this.#parameter.device.synchronize().then(() => report(fraction), () => {});
    };
  }
}

/** Every tensor of every `*.safetensors` of a folder. */
async function loadFolder(directory: string, device: Device): Promise<LoadedTensors> {
  const names = (await readdir(directory).catch((error) => ioError(directory, 'read', error))).filter((name) => name.endsWith('.safetensors')).sort();
  if (names.length === 0) fail('ERR_IO', `${directory}: there is no *.safetensors file with the weights`);
  const all: LoadedTensors = Object.assign(new Map<string, Tensor>(), { skipped: [] as string[] });
  try {
    for (const name of names) {
      const part = await loadSafetensors(path.join(directory, name), { device });
      for (const [key, tensor] of part) {
        if (all.has(key)) {
          for (const extra of part.values()) extra.dispose();
          fail('ERR_FORMAT', `${path.join(directory, name)}: tensor ${describe(key)} is also in another file of the folder`);
        }
        all.set(key, tensor);
      }
      all.skipped.push(...part.skipped);
    }
    return all;
  } catch (error) {
    for (const tensor of all.values()) tensor.dispose();
    throw error;
  }
}
