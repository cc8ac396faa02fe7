import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { HifiGan } from '../../audio/hifigan.js';
import type { Device } from '../../device.js';
import * as functional from '../../functional.js';
import { saveSafetensors } from '../../io/safetensors.js';
import { packageRoot } from '../../native.js';
import { WeightNormConv1d } from '../../nn/weight-norm-layers.js';
import type { Tensor } from '../../tensor.js';
import { bundledVoice, vocoderConfigs } from './cases.js';
import { eventLoopDelays } from './event-loop.js';
import type { Figure, Size } from './report.js';
import { summarize } from './statistics.js';

const amounts: Readonly<Record<Size, { batches: number; calls: number; forwards: number; milliseconds: number; frames: number; starts: number }>> = {
  smallest: { batches: 5, calls: 20, forwards: 200, milliseconds: 100, frames: 2, starts: 1 },
  default: { batches: 50, calls: 200, forwards: 10_000, milliseconds: 2000, frames: 32, starts: 5 },
  all: { batches: 200, calls: 200, forwards: 10_000, milliseconds: 10_000, frames: 32, starts: 9 },
};

/** What the library costs a Node process: calls on the main thread, delays of its event loop, memory, start. */
export async function nodeFigures(device: Device, size: Size, onStep: (label: string) => void): Promise<Figure[]> {
  const amount = amounts[size];
  const model = size === 'smallest' ? await tinyModel(device) : { folder: bundledVoice, remove: async () => {} };
  const figures: Figure[] = [];
  const add = (name: string, value: number, unit: string, limit?: number): void => {
    figures.push({ name, value, unit, device: device.info.type, ...(limit !== undefined && { limit, within: value <= limit }) });
  };
  try {
    onStep('calls');
    const longest = await callCosts(device, amount, add);
    onStep('event loop');
    await synthesisFigures(device, model.folder, amount, longest, add);
    onStep('memory');
    await steadyMemory(device, amount.forwards, add);
    onStep('start');
    await starts(device, model.folder, amount, add);
    return figures;
  } finally {
    await model.remove();
  }
}

/** A random vocoder of few channels, as files. */
async function tinyModel(device: Device): Promise<{ folder: string; remove: () => Promise<void> }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'weightnorm-bench-'));
  const model = new HifiGan(vocoderConfigs.tiny, { device });
  await writeFile(path.join(folder, 'config.json'), JSON.stringify(vocoderConfigs.tiny));
  await saveSafetensors(path.join(folder, 'generator.safetensors'), model.stateDict());
  model.dispose();
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}

type Add = (name: string, value: number, unit: string, limit?: number) => void;

/** Microseconds of a call on the main thread, results disposed, the queue emptied between batches; returns the longest single call. */
async function callCosts(device: Device, { batches, calls }: { batches: number; calls: number }, add: Add): Promise<number> {
  const normal = (...shape: number[]): Tensor => device.randn(shape, { seed: 1 });
  const [x, v, g, square] = [normal(1, 16, 32), normal(16, 16, 3), normal(16, 1, 1), normal(16, 16)];
  const conv = new WeightNormConv1d(16, 16, 3, { padding: 1, device });
  const data = new Float32Array(16);
  const bias = device.zeros([16]);
  const bodies: Record<string, () => Tensor | undefined> = {
    'call of add': () => functional.add(x, x),
    'call of leakyRelu': () => functional.leakyRelu(x, 0.1),
    'call of weightNorm': () => functional.weightNorm(v, g),
    'call of linear': () => functional.linear(square, square),
    'call of conv1d': () => functional.conv1d(x, v, null, { padding: 1 }),
    'forward of WeightNormConv1d': () => conv.forward(x),
    'write of 16 values': () => void bias.write(data),
  };
  let longest = 0;
  for (const [name, body] of Object.entries(bodies)) {
    const costs: number[] = [];
    for (let batch = 0; batch < batches; batch++) {
      const start = performance.now();
      for (let i = 0; i < calls; i++) body()?.dispose();
      costs.push(((performance.now() - start) * 1000) / calls);
      await device.synchronize();
    }
    add(name, summarize(costs).median, 'µs', 5);
  }
  for (let i = 0; i < calls; i++) {
    const start = performance.now();
    const y = conv.forward(x);
    longest = Math.max(longest, (performance.now() - start) * 1000);
    y.dispose();
  }
  await device.synchronize();
  add('longest of those forwards', longest, 'µs');
  for (const tensor of [x, v, g, square, bias]) tensor.dispose();
  conv.dispose();
  return longest;
}

async function synthesisFigures(
  device: Device,
  folder: string,
  { calls, milliseconds, frames }: { calls: number; milliseconds: number; frames: number },
  longestCall: number,
  add: Add,
): Promise<void> {
  const voices = await Promise.all([HifiGan.load(folder, { device }), HifiGan.load(folder, { device })]);
  const mel = device.randn([1, voices[0].config.num_mels, frames], { seed: 1 });
  add('forward of a vocoder, each of its convolutions', await costOfConvolution(voices[0], mel, calls), 'µs', 5);
  const synthesize = (): Promise<unknown> => Promise.all(voices.map((voice) => voice.synthesize(mel)));
  await synthesize();
  const idle = await eventLoopDelays(milliseconds, () => new Promise((resolve) => setTimeout(resolve, 10)));
  const busy = await eventLoopDelays(milliseconds, synthesize);
  for (const [when, delays, limit] of [
    ['when idle', idle],
    ['while two syntheses run', busy, idle.p99 + longestCall / 1000],
  ] as const) {
    add(`event-loop delay ${when}, 99th percentile`, delays.p99, 'ms', limit);
    add(`event-loop delay ${when}, longest`, delays.longest, 'ms');
    add(`event-loop delay ${when}, 99th percentile of perf_hooks`, delays.timerP99, 'ms');
  }
  add('syntheses meanwhile', 2 * busy.rounds, '');
  mel.dispose();
  for (const voice of voices) voice.dispose();
}

/** Microseconds of the main thread that a convolution costs inside a vocoder's forward. */
async function costOfConvolution(voice: HifiGan, mel: Tensor, forwards: number): Promise<number> {
  const convolutions = [...voice.namedParameters().keys()].filter((name) => name.endsWith('weight_v')).length;
  const costs: number[] = [];
  for (let i = 0; i < forwards; i++) {
    const start = performance.now();
    const y = voice.forward(mel);
    costs.push(((performance.now() - start) * 1000) / convolutions);
    await y.read();
    y.dispose();
  }
  return summarize(costs).median;
}

async function steadyMemory(device: Device, forwards: number, add: Add): Promise<void> {
  const layer = new WeightNormConv1d(16, 16, 3, { padding: 1, device });
  const x = device.randn([1, 16, 64], { seed: 1 });
  const run = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      const y = layer.forward(x);
      if (i % 50 === 49) await y.read();
      y.dispose();
    }
    await device.synchronize();
  };
  await run(Math.max(100, forwards / 10));
  const [resident, live] = [process.memoryUsage().rss, device.memory().liveBytes];
  await run(forwards);
  add(`resident memory gained in ${forwards} forwards`, (process.memoryUsage().rss - resident) / 2 ** 20, 'MiB', 16);
  add(`tensor bytes gained in ${forwards} forwards`, device.memory().liveBytes - live, 'bytes', 0);
  x.dispose();
  layer.dispose();
}

const startScript = `
const begin = performance.now();
const { audio, Device } = require(process.argv[1]);
const device = Device.get(process.argv[2]);
const loaded = performance.now();
(async () => {
  const voice = await audio.HifiGan.load(process.argv[3], { device });
  await voice.forward(device.zeros([1, voice.config.num_mels, Number(process.argv[4])])).read();
  console.log(JSON.stringify({ require: loaded - begin, first: performance.now() - loaded }));
})();`;

/** Fresh processes: loading the package, and from there to the first waveform of the bundled voice. */
async function starts(device: Device, folder: string, { starts: count, frames }: { starts: number; frames: number }, add: Add): Promise<void> {
  const measured: { require: number; first: number }[] = [];
  for (let i = 0; i < count; i++) {
    const args = ['-e', startScript, path.join(packageRoot, 'dist', 'index.js'), device.info.type, folder, String(frames)];
    measured.push(JSON.parse((await promisify(execFile)(process.execPath, args)).stdout));
  }
  add('require and device, fresh process', summarize(measured.map((m) => m.require)).median, 'ms');
  add(`voice loaded and first forward of ${frames} frames`, summarize(measured.map((m) => m.first)).median, 'ms', 100);
}
