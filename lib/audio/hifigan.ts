import path from 'node:path';
import type { TransformStream } from 'node:stream/web';
import { integer } from '../axes.js';
import { Device, turn } from '../device.js';
import type { DType } from '../dtype.js';
import { describe, fail, WeightNormError } from '../errors.js';
import { narrow } from '../functional.js';
import { readText } from '../io/file.js';
import { parseJson } from '../io/json.js';
import { Module } from '../nn/module.js';
import { StreamPlan } from '../nn/streaming/plan.js';
import type { Signal } from '../nn/streaming/signal.js';
import type { Stream } from '../nn/streaming/stream.js';
import { WeightNormConv1d, WeightNormConvTranspose1d } from '../nn/weight-norm-layers.js';
import { temporaries, untracked } from '../scope.js';
import { nativeOf, Tensor } from '../tensor.js';
import { checkHifiGanConfig, type HifiGanConfig } from './hifigan-config.js';
import { folderOf, loadGenerator } from './hifigan-weights.js';
import { checkMelConfig, type Mel, type MelConfig } from './mel.js';
import { leaky, type ResBlock, ResBlock1, ResBlock2 } from './resblock.js';
import { allOf, type Step, type Steps } from './steps.js';
import { type MelSource, piecesOf, type SynthesizeStreamOptions, samplesOf, transformOf } from './streaming/pipes.js';
import { StreamScheduler } from './streaming/scheduler.js';
import { type StreamOptions, type StreamSource, Synthesizer } from './streaming/synthesizer.js';

export interface HifiGanOptions {
  /** Default: {@link Device.default}. */
  device?: Device;
  /** Of parameters and activations. Default float32. */
  dtype?: DType;
  /** 'zeros': for a model whose weights are loaded next. Default 'uniform', as in torch. */
  init?: 'uniform' | 'zeros';
  /** 'direct': the samples are the same bits whatever is computed beside them: in a batch, alone, or streamed in any pieces. Default 'auto', which may be faster. */
  algorithm?: 'auto' | 'direct';
}

export interface SynthesizeOptions {
  /** Rejects with ERR_ABORTED when it aborts; what is already queued still runs. */
  signal?: AbortSignal | undefined;
  /** Called after each layer or block with the part of the arithmetic that is done, from 0 to 1. */
  onProgress?: ((fraction: number) => void) | undefined;
}

const largestConfig = 1 << 20;
/** Bytes of results that are queued before the queue is waited for: long inputs stay within the device's bound, short ones never wait. */
const largestQueue = 1 << 28;

/** HiFi-GAN's generator (Kong et al. 2020): log-mel spectrograms to waveforms. Its parameters have the official names. */
export class HifiGan extends Module {
  readonly config: HifiGanConfig & { num_mels: number };
  /** Samples a frame becomes. */
  readonly hop: number;
  readonly conv_pre: WeightNormConv1d;
  readonly ups: WeightNormConvTranspose1d[];
  readonly resblocks: ResBlock[];
  readonly conv_post: WeightNormConv1d;
  #streams: StreamSource | null = null;

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
   * Loads a generator from a folder with HiFi-GAN's `config.json` and its weights: one or more `*.safetensors`, or else one
   * checkpoint of torch (`*.pt`, `*.pth`, `*.ckpt`, or the last of `g_00000000`, …), of which only the generator is read; or from
   * the path of one such file with the config beside it. Any spelling of weight norm will do. Parameters take `options.dtype`, float32 by default, whatever the file's.
   * @throws WeightNormError ERR_IO for missing files, ERR_FORMAT for bad ones, ERR_KEYS where the weights do not fit the config.
   */
  static async load(directory: string, options: HifiGanOptions = {}): Promise<HifiGan> {
    const folder = await folderOf(directory);
    const file = path.join(folder, 'config.json');
    const config = checkHifiGanConfig(parseJson(await readText(file, largestConfig), file), file);
    const device = options.device ?? Device.default();
    const state = await loadGenerator(directory, folder, device);
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
    return allOf(this.#steps(mel));
  }

  *#steps(mel: Tensor): Steps {
    const frames = this.#checkMel(mel);
    const alive = new Set<Tensor>();
    const keep = (result: Tensor, spent?: Tensor): Tensor => {
      alive.add(result);
      if (spent) {
        spent.dispose();
        alive.delete(spent);
      }
      return result;
    };
    const count = this.config.resblock_kernel_sizes.length;
    try {
      let x = keep(temporaries(() => this.conv_pre.forward(mel)));
      yield { result: x, completes: this.conv_pre };
      for (const [stage, up] of this.ups.entries()) {
        const before = x;
        const input = keep(
          temporaries(() => up.fused(before, { pre: leaky })),
          before,
        );
        yield { result: input, completes: up };
        let sum: Tensor | undefined;
        for (let i = 0; i < count; i++) {
          const block = this.resblocks[stage * count + i] as ResBlock;
          sum = keep(yield* block.steps(input, { running: sum, ...(i === count - 1 && { outScale: 1 / count }) }), sum);
          yield { result: sum, completes: block };
        }
        x = keep(sum as Tensor, input);
      }
      const last = x;
      // torch's default slope here, not the 0.1 of the other layers.
      x = keep(
        temporaries(() => this.conv_post.fused(last, { pre: { kind: 'leakyRelu', param: 0.01 }, post: { kind: 'tanh' } })),
        last,
      );
      if ((x.shape[2] as number) > frames * this.hop) x = keep(narrow(x, 2, 0, frames * this.hop), x);
      alive.delete(x);
      return x;
    } finally {
      for (const tensor of alive) tensor.dispose();
    }
  }

  override streamed(mel: Signal): Signal {
    const count = this.config.resblock_kernel_sizes.length;
    let x = mel.through(this.conv_pre);
    for (const [stage, up] of this.ups.entries()) {
      const input = x.conv(up, () => ({ pre: leaky }));
      let sum: Signal | undefined;
      for (let i = 0; i < count; i++) sum = (this.resblocks[stage * count + i] as ResBlock).streamedSum(input, sum, i === count - 1 ? 1 / count : 1);
      x = sum as Signal;
    }
    x = x.conv(this.conv_post, () => ({ pre: { kind: 'leakyRelu', param: 0.01 }, post: { kind: 'tanh' } }));
    const { upsample_rates: rates, upsample_kernel_sizes: kernels } = this.config;
    return rates.some((rate, i) => ((kernels[i] as number) - rate) % 2 !== 0) ? x.limit(mel, this.hop) : x;
  }

  #checkMel(mel: Tensor): number {
    nativeOf(mel, 'mel');
    const { num_mels: mels } = this.config;
    const [, bands, frames] = mel.shape;
    if (mel.shape.length !== 3 || bands !== mels)
      fail('ERR_SHAPE', `mel has shape [${mel.shape.join(', ')}]; it must be [N, ${mels}, frames]: this model takes ${mels} mel bands`);
    const bias = this.#parameter;
    if (mel.device !== bias.device) fail('ERR_DEVICE', `mel is on ${mel.device}; the model is on ${bias.device}`);
    if (mel.dtype !== bias.dtype) fail('ERR_DTYPE', `mel is ${mel.dtype}; the model is ${bias.dtype}`);
    return frames as number;
  }

  get #parameter(): Tensor {
    return this.conv_pre.bias as Tensor;
  }

  /**
   * Synthesises one waveform. The event loop never waits: on the CPU each convolution is handed over in a turn of its own, so the
   * model's parameters have to stay as they are until it resolves. {@link HifiGan.forward} hands over all of them at once.
   * @param mel a tensor `[num_mels, frames]` or `[1, num_mels, frames]`, or the values that {@link melSpectrogram} returns
   * @returns frames · hop samples, full scale ±1
   * @throws WeightNormError ERR_SHAPE for a wrong number of bands, ERR_ABORTED when `options.signal` aborts.
   */
  async synthesize(mel: Tensor | Mel, options: SynthesizeOptions = {}): Promise<Float32Array> {
    const { signal, onProgress } = options;
    throwIfAborted(signal);
    // A scope around the call ends before the next step: what is made here is none of its tensors.
    const input = untracked(() => this.#batchOfOne(mel));
    const work = onProgress && this.#work(input.shape[2] as number);
    const steps = this.#steps(input);
    const next = (): IteratorResult<Step, Tensor> => untracked(() => steps.next());
    try {
      let done = 0;
      let queuedBytes = 0;
      let step = next();
      for (let i = 0; !step.done; step = next()) {
        const { result, completes } = step.value;
        queuedBytes += result.byteLength;
        if ((work && completes) || queuedBytes > largestQueue) {
          await abortable(finished(result), signal);
          queuedBytes = 0;
        } else {
          await turn(input.device);
          throwIfAborted(signal);
        }
        if (work && completes) {
          done += work[i++] as number;
          onProgress(done);
        }
      }
      const samples = step.value.read();
      step.value.dispose();
      const result = await abortable(samples, signal);
      onProgress?.(1);
      return result;
    } finally {
      steps.return(input);
      if (input !== mel) input.dispose();
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
    if (typeof mel !== 'object' || mel === null || !ArrayBuffer.isView(mel.data))
      fail('ERR_ARGUMENT', `mel is ${describe(mel)}; it must be a Tensor or { data, mels, frames }`);
    if (mel.mels !== mels) fail('ERR_SHAPE', `mel has ${describe(mel.mels)} bands; this model takes ${mels}`);
    if (!Number.isSafeInteger(mel.frames) || mel.frames < 1 || mel.data.length !== mels * mel.frames) {
      fail('ERR_SHAPE', `mel has ${mel.data.length} values and ${describe(mel.frames)} frames; ${mels} bands need ${mels} values for each of at least 1 frame`);
    }
    return this.#parameter.device.tensor(mel.data, { shape: [1, mels, mel.frames], dtype: this.#parameter.dtype });
  }

  /**
   * Opens a stream: mel frames in, in pieces of any size, samples out as soon as they are determined. Streams of one model share
   * its weights, and their forwards where they can.
   */
  override stream<S extends Stream = Synthesizer>(options: StreamOptions = {}): S {
    return this.#open(options) as Stream as S;
  }

  /**
   * Synthesises piece by piece: `for await (const samples of vocoder.synthesizeStream(mels))`. Pieces are computed as they are
   * asked for; ending the loop early frees the state and ends `mels`.
   * @throws WeightNormError what {@link Synthesizer.push} throws, at the piece that it concerns.
   */
  synthesizeStream(mels: MelSource, { chunkFrames = 16, ...options }: SynthesizeStreamOptions = {}): AsyncGenerator<Float32Array, void, void> {
    const frames = integer(chunkFrames, 'chunkFrames', 1);
    const stream = this.#open(options);
    try {
      return samplesOf(
        stream,
        piecesOf(mels, frames, (mel) => this.#streamInput(mel)),
      );
    } catch (error) {
      stream.dispose();
      throw error;
    }
  }

  /** A Web TransformStream of mel frames to samples, for `pipeThrough`. */
  transformStream(options: StreamOptions = {}): TransformStream<Tensor | Mel, Float32Array> {
    return transformOf(this.#open(options));
  }

  #open(options: StreamOptions): Synthesizer {
    this.#streams ??= { plan: new StreamPlan(this), scheduler: new StreamScheduler(), input: (mel) => this.#streamInput(mel) };
    return new Synthesizer(this.#streams, options);
  }

  /** Frames as a tensor of their own, outside every scope. */
  #streamInput(mel: Tensor | Mel): Tensor {
    return untracked(() => {
      const input = this.#batchOfOne(mel);
      const own = input === mel ? input.reshape(input.shape) : input;
      try {
        this.#checkMel(own);
        return own;
      } catch (error) {
        own.dispose();
        throw error;
      }
    });
  }

  /** The part of the multiplications that each layer or block takes, in the order in which {@link #steps} completes them. */
  #work(frames: number): number[] {
    const count = this.config.resblock_kernel_sizes.length;
    const modules = [this.conv_pre, ...this.ups.flatMap((up, stage) => [up, ...this.resblocks.slice(stage * count, (stage + 1) * count)]), this.conv_post];
    let length = frames;
    const work = modules.map((module) => {
      const elements = [...module.namedParameters().values()].reduce((sum, parameter) => sum + parameter.size, 0);
      const multiplications = elements * length;
      const stage = this.ups.indexOf(module as WeightNormConvTranspose1d);
      if (stage >= 0) length *= this.config.upsample_rates[stage] as number;
      return multiplications;
    });
    const total = work.reduce((sum, part) => sum + part, 0);
    return work.map((part) => part / total);
  }
}

/** Resolves when a tensor is computed, without reading more than one element of it. */
async function finished(tensor: Tensor): Promise<void> {
  const element = temporaries(() => tensor.shape.reduce((part, _, axis) => narrow(part, axis, 0, 1), tensor));
  const done = element.read();
  element.dispose();
  await done;
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) fail('ERR_ABORTED', 'synthesis was aborted', signal.reason);
}

/** `promise`, or ERR_ABORTED as soon as the signal aborts. */
async function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  let abort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(new WeightNormError('ERR_ABORTED', 'synthesis was aborted', { cause: signal.reason }));
    signal.addEventListener('abort', abort, { once: true });
  });
  try {
    throwIfAborted(signal);
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
