import path from 'node:path';
import { HifiGan, type SynthesizeOptions } from '../audio/hifigan.js';
import { leastSamples, type Mel, type MelConfig, melDistance, melSpectrogram } from '../audio/mel.js';
import { toMono } from '../audio/mono.js';
import { resample } from '../audio/resample.js';
import { Device, type DeviceType } from '../device.js';
import { describe, fail } from '../errors.js';
import { writableTarget } from '../io/file.js';
import { loadNpy } from '../io/npy.js';
import { readWav, writeWav, writeWavStream } from '../io/wav.js';
import { packageRoot } from '../native.js';
import { type Command, type Invocation, type Report, required, UsageError } from './command.js';

const bundledVoice = path.join(packageRoot, 'examples', 'voice');

export const synth: Command = {
  help: `Usage: weightnorm synth <in.wav | mel.npy> -o <out.wav> [options]

Turns a recording into a mel spectrogram and that back into a waveform with a HiFi-GAN vocoder. A recording is mixed
to one channel and resampled to the vocoder's rate. A .npy file is taken as the spectrogram itself: natural
logarithms, [bands, frames].

Options:
  -o, --output   the WAV file to write (16-bit PCM)
  --model        folder with config.json and *.safetensors or a torch checkpoint, or the path of a checkpoint beside
                 its config.json (default: the bundled voice)
  --device       metal or cpu (default: metal where there is one)
  --algorithm    auto or direct: direct gives the same samples however the work is cut (default: auto)
  --stream       synthesise piece by piece and write as it goes; says when the first sample was there`,
  positionals: ['the input file'],
  options: {
    output: { type: 'string', short: 'o' },
    model: { type: 'string' },
    device: { type: 'string' },
    algorithm: { type: 'string' },
    stream: { type: 'boolean' },
  },
  run,
};

async function run({ positionals, values, signal, progress }: Invocation): Promise<Report> {
  const input = positionals[0] as string;
  const output = required(values, 'output', 'the output file (-o out.wav)');
  const kind = path.extname(input).toLowerCase();
  if (kind !== '.wav' && kind !== '.npy') throw new UsageError(`the input file is ${describe(input)}; its name must end in .wav or .npy`);
  if (values.device !== undefined && values.device !== 'metal' && values.device !== 'cpu')
    throw new UsageError(`--device is ${describe(values.device)}; it must be metal or cpu`);
  const { algorithm = 'auto' } = values;
  if (algorithm !== 'auto' && algorithm !== 'direct') throw new UsageError(`--algorithm is ${describe(algorithm)}; it must be auto or direct`);
  await writableTarget(output);

  const device = values.device ? Device.get(values.device as DeviceType) : Device.default();
  progress.update('loading the model', 0);
  const model = await HifiGan.load((values.model as string | undefined) ?? bundledVoice, { device, algorithm });
  const config = model.melConfig;
  progress.update('reading the input', 0);
  const { mel, resampledFrom } = kind === '.wav' ? await melOfRecording(input, config) : await melOfArray(input);

  const update = progress.visible ? (fraction: number): void => progress.update('synthesising', fraction) : undefined;
  const { samples, seconds, firstAudioSeconds } = values.stream
    ? await writtenAsItGoes(model, mel, output, { signal, onProgress: update })
    : { ...(await writtenAtOnce(model, mel, output, { signal, onProgress: update })), firstAudioSeconds: null };
  const audioSeconds = samples.length / config.sampling_rate;
  const distance = samples.length >= leastSamples(config) ? melDistance(mel, melSpectrogram(samples, config)) : null;
  const json = {
    output: path.resolve(output),
    device: device.info.type,
    deviceName: device.info.name,
    sampleRate: config.sampling_rate,
    ...(resampledFrom !== null && { resampledFrom }),
    audioSeconds,
    seconds,
    timesRealTime: audioSeconds / seconds,
    ...(firstAudioSeconds !== null && { firstAudioSeconds }),
    melDistance: distance,
  };
  model.dispose();
  return {
    json,
    lines: [
      `wrote      ${json.output}`,
      `device     ${json.device} (${json.deviceName})${device.info.reason ? `; not Metal: ${device.info.reason}` : ''}`,
      `audio      ${audioSeconds.toFixed(2)} s at ${config.sampling_rate} Hz${resampledFrom === null ? '' : `, resampled from ${resampledFrom} Hz`}`,
      `time       ${seconds.toFixed(3)} s, ${json.timesRealTime.toFixed(1)} times real time`,
      ...(firstAudioSeconds === null ? [] : [`first      audio after ${(firstAudioSeconds * 1000).toFixed(0)} ms`]),
      `distance   ${distance === null ? 'too short to measure' : `${distance.toFixed(4)} mean log-mel, input to output`}`,
    ],
  };
}

interface Synthesised {
  samples: Float32Array;
  /** What the synthesis took. */
  seconds: number;
}

async function writtenAtOnce(model: HifiGan, mel: Mel, output: string, options: SynthesizeOptions): Promise<Synthesised> {
  const started = performance.now();
  const samples = await model.synthesize(mel, options);
  const seconds = (performance.now() - started) / 1000;
  await writeWav(output, samples, model.melConfig.sampling_rate);
  return { samples, seconds };
}

/** Writes each piece when it is there. */
async function writtenAsItGoes(
  model: HifiGan,
  mel: Mel,
  output: string,
  { signal, onProgress }: SynthesizeOptions,
): Promise<Synthesised & { firstAudioSeconds: number }> {
  const samples = new Float32Array(mel.frames * model.hop);
  const started = performance.now();
  const elapsed = (): number => (performance.now() - started) / 1000;
  let firstAudioSeconds = 0;
  let made = 0;
  const pieces = async function* (): AsyncGenerator<Float32Array, void, void> {
    for await (const piece of model.synthesizeStream(mel, { signal })) {
      if (made === 0) firstAudioSeconds = elapsed();
      samples.set(piece, made);
      made += piece.length;
      onProgress?.(made / samples.length);
      yield piece;
    }
  };
  await writeWavStream(output, pieces(), model.melConfig.sampling_rate);
  return { samples, seconds: elapsed(), firstAudioSeconds };
}

interface Input {
  mel: Mel;
  /** The rate of a recording that was resampled, in Hz. */
  resampledFrom: number | null;
}

/** The spectrogram of a WAV file, its channels mixed to one, at the model's rate. */
async function melOfRecording(file: string, config: MelConfig): Promise<Input> {
  const { sampleRate, channels } = await readWav(file);
  const rate = config.sampling_rate;
  const samples = resample(toMono(channels), sampleRate, rate);
  const resampledFrom = sampleRate === rate ? null : sampleRate;
  const least = leastSamples(config);
  if (samples.length < least)
    fail(
      'ERR_SHAPE',
      `${file}: has ${samples.length} samples${resampledFrom === null ? '' : ` at ${rate} Hz`}; the model's spectrogram needs at least ${least}`,
    );
  return { mel: melSpectrogram(samples, config), resampledFrom };
}

/** A spectrogram stored as [bands, frames] or [1, bands, frames]. */
async function melOfArray(file: string): Promise<Input> {
  const { data, shape } = await loadNpy(file);
  const [mels, frames] = shape.length === 3 && shape[0] === 1 ? shape.slice(1) : shape;
  if (mels === undefined || frames === undefined || shape.length > 3 || (shape.length === 3 && shape[0] !== 1)) {
    fail('ERR_SHAPE', `${file}: has shape [${shape.join(', ')}]; a spectrogram has [bands, frames]`);
  }
  return { mel: { data, mels, frames }, resampledFrom: null };
}
