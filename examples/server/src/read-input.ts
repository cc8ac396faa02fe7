import { randomUUID } from 'node:crypto';
import { unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parentPort } from 'node:worker_threads';
import { audio, Device, io, WeightNormError } from 'weightnorm';

/**
 * A thread that reads what callers sent: parsing and spectrograms take milliseconds a second of speech, for which the main thread
 * would answer nobody. A body becomes a file for as long as it is read, because the library reads files.
 */
export interface ReadRequest {
  id: number;
  body: Uint8Array;
  config: audio.MelConfig;
  maxSeconds: number;
}

export type ReadReply = { id: number; mel: audio.Mel } | { id: number; code: string; message: string };

type Kind = 'wav' | 'npy' | 'safetensors';

function kindOf(body: Uint8Array): Kind {
  const start = Buffer.from(body.subarray(0, 6)).toString('latin1');
  if (start.startsWith('RIFF')) return 'wav';
  return start === '\x93NUMPY' ? 'npy' : 'safetensors';
}

class TooLong extends Error {
  constructor(seconds: number, most: number) {
    super(`the request is for ${seconds.toFixed(1)} s of speech; at most ${most} s are made at once`);
  }
}

async function read(file: string, kind: Kind, config: audio.MelConfig, maxSeconds: number): Promise<audio.Mel> {
  if (kind === 'wav') {
    const { sampleRate, channels } = await audio.readWav(file);
    // Before resampling: a header that claims a low rate would make a small body a huge one.
    const seconds = (channels[0] as Float32Array).length / sampleRate;
    if (seconds > maxSeconds) throw new TooLong(seconds, maxSeconds);
    return audio.melSpectrogram(audio.resample(audio.toMono(channels), sampleRate, config.sampling_rate), config);
  }
  const { data, shape } = kind === 'npy' ? await io.loadNpy(file) : await melTensor(file);
  const [mels, frames, ...rest] = shape.length === 3 && shape[0] === 1 ? shape.slice(1) : shape;
  if (mels !== config.num_mels || frames === undefined || frames < 1 || rest.length > 0)
    throw new WeightNormError('ERR_SHAPE', `the spectrogram has shape [${shape.join(', ')}]; this voice takes [${config.num_mels}, frames]`);
  return { data, mels, frames };
}

/** The tensor called 'mel', or the only one. */
async function melTensor(file: string): Promise<{ data: Float32Array; shape: readonly number[] }> {
  const tensors = await io.loadSafetensors(file, { device: Device.get('cpu') });
  try {
    const mel = tensors.get('mel') ?? (tensors.size === 1 ? [...tensors.values()][0] : undefined);
    if (!mel) throw new WeightNormError('ERR_KEYS', `the file has ${tensors.size} tensors and none is called "mel"`);
    return { data: await mel.read(), shape: mel.shape };
  } finally {
    for (const tensor of tensors.values()) tensor.dispose();
  }
}

async function answer({ id, body, config, maxSeconds }: ReadRequest): Promise<ReadReply> {
  const file = path.join(tmpdir(), `weightnorm-${randomUUID()}`);
  try {
    await writeFile(file, body, { flag: 'wx', mode: 0o600 });
    const mel = await read(file, kindOf(body), config, maxSeconds);
    const seconds = (mel.frames * config.hop_size) / config.sampling_rate;
    if (seconds > maxSeconds) throw new TooLong(seconds, maxSeconds);
    if (mel.data.some((value) => !Number.isFinite(value))) throw new WeightNormError('ERR_ARGUMENT', 'the spectrogram has values that are not finite');
    return { id, mel };
  } catch (error) {
    const code = error instanceof TooLong ? 'ERR_TOO_LONG' : error instanceof WeightNormError ? error.code : 'ERR_UNEXPECTED';
    return { id, code, message: String((error as Error).message).replaceAll(file, 'the body') };
  } finally {
    await unlink(file).catch(() => {});
  }
}

parentPort?.on('message', async (request: ReadRequest) => {
  const reply = await answer(request);
  parentPort?.postMessage(reply, 'mel' in reply ? [reply.mel.data.buffer as ArrayBuffer] : []);
});
