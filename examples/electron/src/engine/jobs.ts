import path from 'node:path';
import { audio, Device, WeightNormError } from 'weightnorm';
import type { DeviceChoice, DeviceType, Outcome, Recording, Sound, Synthesis } from '../contract.js';
import type { Kind, Requests } from './messages.js';

const voiceFolder = path.join(path.dirname(require.resolve('weightnorm/package.json')), 'examples', 'voice');
const sampleFile = path.join(voiceFolder, 'sample-1.wav');
/** Of a recording, in minutes: the page keeps all of it, twice. */
const longest = 10;

/** What the engine does; one synthesis at a time. */
export class Jobs {
  readonly #progress: (part: number) => void;
  readonly #voices = new Map<DeviceType, Promise<audio.HifiGan>>();
  #recording: Recording | null = null;
  #recordings = 0;
  #running: AbortController | null = null;

  constructor(progress: (part: number) => void) {
    this.#progress = progress;
  }

  /** Never rejects: errors are outcomes. */
  async run<K extends Kind>(kind: K, argument: Requests[K]['argument']): Promise<Outcome<Requests[Kind]['result']>> {
    try {
      return { ok: true, value: await this.#handlers[kind](argument) };
    } catch (error) {
      const code = error instanceof WeightNormError ? error.code : 'ERR_INTERNAL';
      return { ok: false, code, message: error instanceof Error ? error.message : String(error) };
    }
  }

  readonly #handlers: { [K in Kind]: (argument: Requests[K]['argument']) => Requests[K]['result'] | Promise<Requests[K]['result']> } = {
    devices: () => devices(),
    load: async ({ path: file }) => {
      try {
        return await this.#load(file);
      } catch (error) {
        // The page is told the file's name only.
        if (error instanceof WeightNormError) throw new WeightNormError(error.code, error.message.replaceAll(file, path.basename(file)));
        throw error;
      }
    },
    sample: () => this.#load(sampleFile),
    synthesize: (request) => this.#synthesize(request),
    cancel: () => {
      this.#running?.abort();
      return null;
    },
  };

  /** The voice on a device, loaded at the first use of it. */
  #voice(type: DeviceType): Promise<audio.HifiGan> {
    let voice = this.#voices.get(type);
    if (!voice) {
      voice = audio.HifiGan.load(voiceFolder, { device: Device.get(type) });
      this.#voices.set(type, voice);
      voice.catch(() => this.#voices.delete(type));
    }
    return voice;
  }

  async #load(file: string): Promise<Recording> {
    const { sampleRate, channels } = await audio.readWav(file);
    const [first] = channels as [Float32Array];
    const minutes = first.length / sampleRate / 60;
    if (minutes > longest) throw new WeightNormError('ERR_SHAPE', `${path.basename(file)} lasts ${minutes.toFixed(1)} minutes; ${longest} are allowed`);
    const { melConfig } = await this.#voice(Device.default().info.type);
    const samples = audio.resample(audio.toMono(channels), sampleRate, melConfig.sampling_rate);
    const recording: Recording = { id: ++this.#recordings, name: path.basename(file), originalRate: sampleRate, ...sound(samples, melConfig) };
    this.#recording = recording;
    return recording;
  }

  async #synthesize({ recording: id, device }: Requests['synthesize']['argument']): Promise<Synthesis> {
    const recording = this.#recording;
    if (recording?.id !== id) throw new WeightNormError('ERR_STATE', 'this recording is no longer open; open it again');
    if (this.#running) throw new WeightNormError('ERR_STATE', 'a synthesis is running already; cancel it or wait for it');
    const running = new AbortController();
    this.#running = running;
    try {
      const voice = await this.#voice(device);
      const { spectrogram } = recording;
      const mel = { data: spectrogram.data, mels: spectrogram.bands, frames: spectrogram.frames };
      const started = performance.now();
      const samples = await voice.synthesize(mel, { signal: running.signal, onProgress: this.#progress });
      const seconds = (performance.now() - started) / 1000;
      const made = sound(samples, voice.melConfig);
      const distance = audio.melDistance(mel, { data: made.spectrogram.data, mels: made.spectrogram.bands, frames: made.spectrogram.frames });
      return { ...made, device, seconds, distance };
    } finally {
      this.#running = null;
    }
  }
}

function sound(samples: Float32Array, config: audio.MelConfig): Sound {
  const { data, mels: bands, frames } = audio.melSpectrogram(samples, config);
  const { sampling_rate: sampleRate, hop_size: hop, fmax } = config;
  return { samples, sampleRate, spectrogram: { data, bands, frames, step: hop / sampleRate, top: fmax ?? sampleRate / 2 } };
}

function devices(): DeviceChoice[] {
  const usable = Device.list();
  const choices: DeviceChoice[] = usable.map(({ type, name }) => ({ type, name, unavailable: null }));
  if (!usable.some(({ type }) => type === 'metal')) {
    choices.unshift({ type: 'metal', name: 'Apple GPU', unavailable: whyNotMetal() });
  }
  return choices;
}

function whyNotMetal(): string {
  try {
    Device.get('metal');
    return '';
  } catch (error) {
    return (error as Error).message;
  }
}
