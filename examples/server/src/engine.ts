import { audio, Device } from 'weightnorm';
import { pcm16 } from './pcm.js';
import type { Settings } from './settings.js';
import { voicePath } from './voice-config.js';

/** The vocoder of a process: utterances that are under way together share its forwards. */
export class Engine {
  readonly voice: audio.HifiGan;
  readonly config: audio.MelConfig;
  readonly #scheduler: audio.StreamScheduler;
  readonly #chunkFrames: number;

  private constructor(voice: audio.HifiGan, { concurrency, chunkFrames }: Settings) {
    this.voice = voice;
    this.config = voice.melConfig;
    this.#chunkFrames = chunkFrames;
    this.#scheduler = new audio.StreamScheduler({ maxBatch: Math.min(concurrency, 32) });
  }

  static async load(settings: Settings): Promise<Engine> {
    const device = settings.device ? Device.get(settings.device) : Device.default();
    // 'direct': an utterance is the same bits whatever is computed beside it, on whichever worker, and also when another one takes over.
    const voice = await audio.HifiGan.load(voicePath(settings.voice), { device, algorithm: 'direct' });
    const engine = new Engine(voice, settings);
    // The first forward loads kernels and packs weights; no caller should wait for that.
    await voice.synthesize({ data: new Float32Array(engine.config.num_mels * 4), mels: engine.config.num_mels, frames: 4 });
    return engine;
  }

  get device(): Device {
    return (this.voice.conv_pre.bias as { device: Device } | null)?.device ?? Device.default();
  }

  /** Pieces of 16-bit samples as they are determined. Computes nothing before it is asked for; ending early frees the state. */
  async *synthesize(mel: audio.Mel, signal: AbortSignal): AsyncGenerator<Uint8Array, void, void> {
    for await (const samples of this.voice.synthesizeStream(mel, { signal, scheduler: this.#scheduler, chunkFrames: this.#chunkFrames })) yield pcm16(samples);
  }

  dispose(): void {
    this.voice.dispose();
  }
}
