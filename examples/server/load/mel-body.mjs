import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { audio, io } from 'weightnorm';

/** The first `seconds` of the bundled recording as a spectrogram: its values, and the body of a request, .npy. */
export async function melBody(seconds) {
  const voice = path.join(path.dirname(createRequire(import.meta.url).resolve('weightnorm/package.json')), 'examples', 'voice');
  const config = JSON.parse(await readFile(path.join(voice, 'config.json'), 'utf8'));
  const { channels } = await audio.readWav(path.join(voice, 'sample-1.wav'));
  const samples = channels[0].subarray(0, Math.round(seconds * config.sampling_rate));
  const { data, mels, frames } = audio.melSpectrogram(samples, config);
  const folder = await mkdtemp(path.join(tmpdir(), 'weightnorm-load-'));
  try {
    await io.saveNpy(path.join(folder, 'mel.npy'), data, [mels, frames]);
    return { body: await readFile(path.join(folder, 'mel.npy')), mel: { data, mels, frames }, audioSeconds: (frames * config.hop_size) / config.sampling_rate };
  } finally {
    await rm(folder, { recursive: true });
  }
}
