// One model with one number of threads, in a process of its own: options as JSON in the first argument, a row of the report on the
// standard output. Samples are checked before anything is timed.
import { piecesOf, spectrogram, vocoder } from './subjects.mjs';

const options = JSON.parse(process.argv[2]);
const { model: name, threads, chunk, rounds, streams, seconds } = options;
// Read when the library is loaded.
process.env.WEIGHTNORM_NUM_THREADS = String(threads);
const { Device } = await import('../../dist/index.mjs');
const { summarize } = (await import('../../dist/cli/bench/statistics.js')).default;
const device = Device.get(options.device);

/** Aborted streams are given so many frames: some layers have begun, some have not. */
const frames = { abort: 4, crowd: 8 * chunk };

async function streamed(model, pieces, times) {
  const stream = model.stream();
  const samples = [];
  for (const piece of pieces) {
    const started = performance.now();
    samples.push(await stream.push(piece));
    times?.push(performance.now() - started);
  }
  samples.push(await stream.flush());
  return samples;
}

/** Wall and processor time of `work`, in ms. */
async function timed(work) {
  const [cpu, started] = [process.cpuUsage(), performance.now()];
  await work();
  const { user, system } = process.cpuUsage(cpu);
  return { wall: performance.now() - started, cpu: (user + system) / 1000 };
}

/** Calls `round` until `most` rounds or the time are over, but three times at least; `share`: of the time that a row may take. */
async function repeated(most, share, round) {
  const end = performance.now() + 1000 * seconds * share;
  for (let i = 0; i < most && (i < 3 || performance.now() < end); i++) await round();
}

const quantile = (list, q) => [...list].sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(q * list.length))];

/** What a frame costs in pieces, beside all frames at once: paired rounds. */
async function cost(algorithm) {
  const model = await vocoder(name, { device, algorithm });
  const mel = spectrogram(model.config.num_mels, options.frames);
  const pieces = piecesOf(mel, chunk);
  const expected = await model.synthesize(mel);
  const parts = await streamed(model, pieces);
  const actual = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const samples of parts) {
    actual.set(samples, at);
    at += samples.length;
  }
  const maxAbsError = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - actual[i])), 0);
  const fits = actual.length === expected.length && maxAbsError <= (algorithm === 'direct' ? 0 : 1e-5);
  if (!fits) throw new Error(`${name}, ${algorithm}: ${actual.length} streamed samples of ${expected.length} differ by ${maxAbsError}`);
  const [offline, streaming, pushes] = [[], [], []];
  await repeated(rounds, 0.2, async () => {
    offline.push(await timed(() => model.synthesize(mel)));
    streaming.push(await timed(() => streamed(model, pieces, pushes)));
  });
  model.dispose();
  const perFrame = (times, kind) => summarize(times.map((time) => time[kind] / mel.frames));
  const ratio = (kind) => summarize(streaming.map((time, i) => time[kind] / offline[i][kind]));
  return {
    maxAbsError,
    offlineMsPerFrame: perFrame(offline, 'wall'),
    streamedMsPerFrame: perFrame(streaming, 'wall'),
    wallRatio: ratio('wall'),
    processorRatio: ratio('cpu'),
    pushMs: { ...summarize(pushes), p99: quantile(pushes, 0.99) },
  };
}

/** Milliseconds from the push of look-ahead and one frame to its samples. */
async function firstAudio(model) {
  const mel = spectrogram(model.config.num_mels, model.stream().lookahead + 1);
  const times = [];
  await repeated(Math.max(rounds, 9), 0.02, async () => {
    const stream = model.stream();
    const started = performance.now();
    const samples = await stream.push(mel);
    times.push(performance.now() - started);
    if (samples.length < model.hop) throw new Error(`${samples.length} samples after look-ahead and one frame; at least ${model.hop} are due`);
    stream.dispose();
  });
  return summarize(times);
}

/** The device's memory when nothing is under way: copies of what closed streams leave of a batch are given up when they are made. */
async function settledMemory() {
  for (let i = 0; i < 3; i++) {
    await device.synchronize();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return device.memory();
}

/** Bytes that a stream holds between pushes: what it says, and what the device counts for many. */
async function memory(model) {
  const mel = spectrogram(model.config.num_mels, 2 * chunk);
  const opened = async () => {
    const open = Array.from({ length: streams }, () => model.stream());
    await Promise.all(open.map((stream) => stream.push(mel)));
    return open;
  };
  // The first time the weights are packed for it.
  for (const stream of await opened()) stream.dispose();
  const before = (await settledMemory()).liveBytes;
  const open = await opened();
  const countedBytes = ((await settledMemory()).liveBytes - before) / streams;
  const { stateBytes } = open[0];
  for (const stream of open) stream.dispose();
  return { stateBytes, countedBytes };
}

/** All streams at once, each pushing its next piece when it has the samples of the last; beside one long utterance, before and after. */
async function crowd(model) {
  const mel = spectrogram(model.config.num_mels, frames.crowd);
  const whole = spectrogram(model.config.num_mels, 2 * frames.crowd);
  const pieces = piecesOf(mel, chunk);
  const all = async (list, times) => {
    await Promise.all(
      Array.from({ length: streams }, async () => {
        const stream = model.stream();
        for (const piece of list) {
          const started = performance.now();
          await stream.push(piece);
          times.push(performance.now() - started);
        }
        stream.dispose();
      }),
    );
  };
  // Frames a second.
  const alone = async () => (1000 * whole.frames) / (await timed(() => model.synthesize(whole))).wall;
  const first = await alone();
  // Large models get fewer pieces, so that three rounds fit into the time where possible.
  const perPiece = (1000 * streams * chunk) / first;
  let rest = 1000 * seconds * 0.4;
  const count = Math.max(3, Math.min(pieces.length, Math.floor(rest / (3 * perPiece))));
  const [ofOffline, perSecond, shares, pushes] = [[], [], [], []];
  do {
    const times = [];
    const before = await alone();
    const { wall } = await timed(() => all(pieces.slice(0, count), times));
    const offline = (before + (await alone())) / 2;
    perSecond.push((1000 * streams * count * chunk) / wall);
    ofOffline.push(perSecond.at(-1) / offline);
    // What each would wait for if all took equal turns.
    shares.push(quantile(times, 0.99) / (wall / count));
    pushes.push(...times);
    rest -= wall;
  } while (perSecond.length < rounds && rest > count * perPiece);
  return {
    streams,
    pieces: count,
    framesPerSecond: summarize(perSecond),
    ofOffline: summarize(ofOffline),
    pushMs: { ...summarize(pushes), p99: quantile(pushes, 0.99) },
    p99OfFairShare: { ...summarize(shares), worst: Math.max(...shares) },
  };
}

/** What a thousand streams leave that are aborted. */
async function aborted(model) {
  const piece = spectrogram(model.config.num_mels, frames.abort);
  const fifty = () =>
    Promise.all(
      Array.from({ length: 50 }, async () => {
        const controller = new AbortController();
        const stream = model.stream({ signal: controller.signal });
        await stream.push(piece);
        controller.abort();
      }),
    );
  await fifty();
  const before = await settledMemory();
  for (let i = 0; i < 1000; i += 50) await fifty();
  const after = await settledMemory();
  return { streams: 1000, frames: frames.abort, tensors: after.tensors - before.tensors, bytes: after.liveBytes - before.liveBytes };
}

const row = { model: name, threads, device: options.device, simulated: device.info.simulated };
for (const algorithm of ['auto', 'direct']) row[algorithm] = await cost(algorithm);
const model = await vocoder(name, { device, algorithm: 'auto' });
row.lookaheadFrames = model.stream().lookahead;
row.firstAudioMs = await firstAudio(model);
row.memory = await memory(model);
row.many = await crowd(model);
row.aborted = await aborted(model);
model.dispose();
console.log(JSON.stringify(row));
