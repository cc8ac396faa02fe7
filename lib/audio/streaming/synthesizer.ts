import { fail, WeightNormError } from '../../errors.js';
import type { StreamPlan } from '../../nn/streaming/plan.js';
import type { Stream } from '../../nn/streaming/stream.js';
import type { Tensor } from '../../tensor.js';
import type { Mel } from '../mel.js';
import { StreamScheduler } from './scheduler.js';
import { follow } from './signals.js';
import { Voice } from './voice.js';

export interface StreamOptions {
  /** Closes the stream at once when it aborts: its state is freed, pushes that wait reject with ERR_ABORTED. */
  signal?: AbortSignal | undefined;
  /** Whose forwards the stream shares. Default: the vocoder's own. */
  scheduler?: StreamScheduler | undefined;
}

/** @internal What a vocoder gives its streams. */
export interface StreamSource {
  readonly plan: StreamPlan;
  readonly scheduler: StreamScheduler;
  /** Frames [1, mels, frames] as a tensor that is the stream's; throws what is wrong with them. */
  input(mel: Tensor | Mel): Tensor;
}

interface Backstop {
  voice: Voice;
  detach: () => void;
}

/** Streams that were neither flushed nor disposed are closed when they are collected. */
const abandoned = new FinalizationRegistry<Backstop>(({ voice, detach }) => {
  detach();
  // What still waits is someone's promise and is answered.
  if (voice.jobs.length === 0) voice.close(closedError('collected'));
});

function closedError(how: string): WeightNormError {
  return new WeightNormError('ERR_DISPOSED', `the stream was ${how}`);
}

/**
 * A vocoder that is fed frame by frame: every sample comes as soon as the frames that it depends on are there. Made by
 * {@link HifiGan.stream}. The samples, put together, are those of `synthesize`: the same bits with `algorithm: 'direct'`, within
 * 1e-5 otherwise. Pushes are computed in order; awaiting each is what keeps a fast producer from running ahead.
 */
export class Synthesizer implements Stream {
  readonly #source: StreamSource;
  readonly #scheduler: StreamScheduler;
  readonly #voice: Voice;
  readonly #detach: () => void;
  #flushed = false;

  /** @internal */
  constructor(source: StreamSource, { signal, scheduler = source.scheduler }: StreamOptions = {}) {
    if (signal?.aborted) fail('ERR_ABORTED', 'the stream was aborted', signal.reason);
    if (!(scheduler instanceof StreamScheduler)) fail('ERR_ARGUMENT', 'scheduler must be a StreamScheduler');
    this.#source = source;
    this.#scheduler = scheduler;
    const voice = new Voice(source.plan);
    this.#voice = voice;
    // The signal may live for long: it holds the state, not this object.
    const abort = (): void => voice.close(new WeightNormError('ERR_ABORTED', 'the stream was aborted', { cause: signal?.reason }));
    this.#detach = signal ? follow(signal, abort) : () => {};
    abandoned.register(this, { voice, detach: this.#detach }, this);
  }

  /** Frames that must have been pushed beyond the one that a sample belongs to. It follows from the layers. */
  get lookahead(): number {
    return this.#source.plan.lookahead;
  }

  /** Samples for each frame. */
  get rate(): number {
    return this.#source.plan.rate;
  }

  /** Bytes of device memory that the stream holds between pushes: its part of what is shared with streams computed beside it. */
  get stateBytes(): number {
    const { slab } = this.#voice.place;
    return slab ? slab.bytes / slab.rows : 0;
  }

  /**
   * @param mel any number of frames: `[num_mels, frames]`, `[1, num_mels, frames]`, or what {@link melSpectrogram} returns. It is
   *   copied at the call.
   * @returns the samples that are determined now and were not before, full scale ±1; maybe none
   * @throws WeightNormError ERR_SHAPE for a wrong number of bands (the stream goes on), ERR_STATE after flush, ERR_DISPOSED after
   *   dispose, ERR_ABORTED when the signal aborts.
   */
  async push(mel: Tensor | Mel): Promise<Float32Array> {
    this.#check('push');
    const input = this.#source.input(mel);
    return this.#submit(input);
  }

  /** The rest of the samples; ends the stream and frees its state. */
  async flush(): Promise<Float32Array> {
    this.#check('flush');
    this.#flushed = true;
    try {
      return await this.#submit(null);
    } finally {
      this.#close(closedError('flushed'));
    }
  }

  /** Frees the state; what waits rejects with ERR_DISPOSED. Disposing again does nothing. */
  dispose(): void {
    this.#close(closedError('disposed'));
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #submit(input: Tensor | null): Promise<Float32Array> {
    return new Promise((resolve, reject) => {
      const frames = input?.shape[2] ?? 0;
      this.#scheduler.submit(this.#voice, { input, frames, done: 0, samples: [], resolve, reject });
    });
  }

  #close(reason: unknown): void {
    this.#voice.close(reason);
    this.#detach();
    abandoned.unregister(this);
  }

  #check(action: string): void {
    if (this.#flushed) fail('ERR_STATE', `${action}: the stream was flushed; open another with stream()`);
    const { closed, reason } = this.#voice;
    if (!closed) return;
    if (reason instanceof WeightNormError) fail(reason.code, `${action}: ${reason.message}`, reason.cause);
    fail('ERR_STATE', `${action}: the stream failed`, reason);
  }
}
