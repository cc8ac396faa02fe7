import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { audio, Device, io } from 'weightnorm';
import { readSettings } from '../dist/settings.js';

export const here = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const root = path.resolve(here, '..', '..');
export const voiceFolder = path.join(root, 'examples', 'voice');
export const speech = path.join(voiceFolder, 'sample-1.wav');

export const settingsWith = (env = {}) => readSettings({ PORT: '0', DEVICE: 'cpu', ...env });

/** Calls until what it returns is true. */
export async function until(condition, what, ms = 20_000) {
  const end = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`waited ${ms} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export const post = (url, body, { type = 'audio/wav', ...options } = {}) =>
  fetch(`${url}/synthesize`, { method: 'POST', headers: { 'content-type': type }, body, ...options });

/** The 16-bit samples of a WAV answer, its header checked against its length. */
export function samplesOf(bytes) {
  const header = Buffer.from(bytes.buffer, bytes.byteOffset, 44);
  if (header.toString('latin1', 0, 4) !== 'RIFF' || header.readUInt32LE(4) !== bytes.length - 8 || header.readUInt32LE(40) !== bytes.length - 44)
    throw new Error('the answer is no whole WAV file');
  return new Int16Array(Uint8Array.from(bytes.subarray(44)).buffer);
}

/** A spectrogram of `seconds` of speech as a .npy body, and as values. */
export async function longMel(seconds) {
  const voice = JSON.parse(readFileSync(path.join(voiceFolder, 'config.json'), 'utf8'));
  const { channels } = await audio.readWav(speech);
  const mel = audio.melSpectrogram(channels[0], voice);
  const frames = Math.ceil((seconds * voice.sampling_rate) / voice.hop_size);
  const data = new Float32Array(mel.mels * frames);
  for (let band = 0; band < mel.mels; band++) for (let i = 0; i < frames; i++) data[band * frames + i] = mel.data[band * mel.frames + (i % mel.frames)];
  return { mel: { data, mels: mel.mels, frames }, body: await npyOf(data, [mel.mels, frames]) };
}

export async function npyOf(data, shape) {
  const folder = mkdtempSync(path.join(tmpdir(), 'weightnorm-server-'));
  try {
    await io.saveNpy(path.join(folder, 'mel.npy'), data, shape);
    return readFileSync(path.join(folder, 'mel.npy'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What the library itself synthesises, rounded to 16 bits. */
export async function expected(mel) {
  const voice = await audio.HifiGan.load(voiceFolder, { device: Device.get('cpu'), algorithm: 'direct' });
  const samples = await voice.synthesize(mel);
  voice.dispose();
  return Int16Array.from(samples, (value) => Math.max(-32768, Math.min(32767, Math.round(value * 32768))));
}

/** A Redis of this test's own, on a free port of the loopback, that keeps nothing. */
export async function startRedis() {
  const port = await freePort();
  const folder = mkdtempSync(path.join(tmpdir(), 'weightnorm-redis-'));
  const child = spawn('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const failed = once(child, 'error').then(([error]) => {
    throw new Error(`redis-server cannot be run (apt-get install redis-server): ${error.message}`);
  });
  let log = '';
  child.stdout.on('data', (text) => {
    log += text;
  });
  await Promise.race([until(() => log.includes('Ready to accept connections'), 'Redis'), failed]);
  return {
    url: `redis://127.0.0.1:${port}`,
    stop: async () => {
      child.kill();
      if (child.exitCode === null) await once(child, 'exit');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  return port;
}

/** A process of this example; resolves when it has printed `ready`. */
export async function startProcess(script, env, ready) {
  const child = spawn(process.execPath, [path.join(here, 'dist', script)], {
    env: { ...process.env, DEVICE: 'cpu', PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (text) => {
    output += text;
  });
  const exit = once(child, 'exit').then(([code, signal]) => code ?? signal);
  await until(() => ready.test(output) || child.exitCode !== null, `${script} to start`, 60_000);
  if (!ready.test(output)) throw new Error(`${script} ended with ${child.exitCode}`);
  return { child, exit, output: () => output };
}
