// What streaming costs beside synthesising at once: `npm run bench -- streaming [--model voice|v1|v3] [--chunk 16] [--frames 320]
// [--rounds 9] [--streams 64] [--threads 1] [--device cpu] [--json]`. Results are checked before anything is timed.
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: {
    model: { type: 'string', default: 'voice' },
    chunk: { type: 'string', default: '16' },
    frames: { type: 'string', default: '320' },
    rounds: { type: 'string', default: '9' },
    streams: { type: 'string', default: '64' },
    threads: { type: 'string', default: '1' },
    device: { type: 'string', default: 'cpu' },
    json: { type: 'boolean', default: false },
  },
});
// Read when the library is loaded.
process.env.WEIGHTNORM_NUM_THREADS = options.threads;
const { audio, Device } = await import('../dist/index.mjs');

const [chunk, frames, rounds, streams] = ['chunk', 'frames', 'rounds', 'streams'].map((name) => Number(options[name]));
const device = Device.get(options.device);
const dilations = [1, 3, 5];
const v1 = {
  resblock: '1',
  upsample_rates: [8, 8, 2, 2],
  upsample_kernel_sizes: [16, 16, 4, 4],
  upsample_initial_channel: 512,
  resblock_kernel_sizes: [3, 7, 11],
  resblock_dilation_sizes: [dilations, dilations, dilations],
};
const v3 = {
  resblock: '2',
  upsample_rates: [8, 8, 4],
  upsample_kernel_sizes: [16, 16, 8],
  upsample_initial_channel: 256,
  resblock_kernel_sizes: [3, 5, 7],
  resblock_dilation_sizes: [
    [1, 2],
    [2, 6],
    [3, 12],
  ],
};

async function vocoder(algorithm) {
  if (options.model === 'voice') return audio.HifiGan.load(new URL('../examples/voice', import.meta.url).pathname, { device, algorithm });
  const config = { v1, v3 }[options.model];
  if (!config) throw new Error(`--model is ${options.model}; it must be voice, v1 or v3`);
  return new audio.HifiGan(config, { device, algorithm });
}

/** A spectrogram of speech-like values, and parts of it. */
function spectrogram(mels, length) {
  const data = Float32Array.from({ length: mels * length }, (_, i) => -5 + 3 * Math.sin(i * 0.37) + 2 * Math.sin(i * 0.011));
  return { data, mels, frames: length };
}
function part({ data, mels, frames: length }, from, to) {
  const piece = new Float32Array(mels * (to - from));
  for (let band = 0; band < mels; band++) piece.set(data.subarray(band * length + from, band * length + to), band * (to - from));
  return { data: piece, mels, frames: to - from };
}
function piecesOf(mel) {
  const pieces = [];
  for (let at = 0; at < mel.frames; at += chunk) pieces.push(part(mel, at, Math.min(mel.frames, at + chunk)));
  return pieces;
}

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

const sorted = (list) => [...list].sort((a, b) => a - b);
const quantile = (list, q) => sorted(list)[Math.min(list.length - 1, Math.floor(q * list.length))];
const median = (list) => quantile(list, 0.5);

/** Wall and processor time of `work`, in ms. */
async function timed(work) {
  const [cpu, started] = [process.cpuUsage(), performance.now()];
  await work();
  const { user, system } = process.cpuUsage(cpu);
  return { wall: performance.now() - started, cpu: (user + system) / 1000 };
}

const report = { device: device.info.name, model: options.model, threads: Number(options.threads), chunk, frames, rounds, streams };

for (const algorithm of ['auto', 'direct']) {
  const model = await vocoder(algorithm);
  const mel = spectrogram(model.config.num_mels, frames);
  const pieces = piecesOf(mel);
  const expected = await model.synthesize(mel);
  const actual = (await streamed(model, pieces)).flatMap((piece) => [...piece]);
  const worst = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - actual[i])), 0);
  if (actual.length !== expected.length || worst > (algorithm === 'direct' ? 0 : 1e-5)) throw new Error(`${algorithm}: streamed samples differ by ${worst}`);

  const [offline, streaming, pushes] = [[], [], []];
  for (let round = 0; round < rounds; round++) {
    offline.push(await timed(() => model.synthesize(mel)));
    streaming.push(await timed(() => streamed(model, pieces, pushes)));
  }
  const ratios = (kind) => offline.map((time, i) => streaming[i][kind] / time[kind]);
  report[algorithm] = {
    maxAbsError: worst,
    offlineMsPerFrame: median(offline.map(({ wall }) => wall)) / frames,
    streamedMsPerFrame: median(streaming.map(({ wall }) => wall)) / frames,
    wallRatio: median(ratios('wall')),
    bestWallRatio: Math.min(...streaming.map(({ wall }) => wall)) / Math.min(...offline.map(({ wall }) => wall)),
    cpuRatio: median(ratios('cpu')),
    pushP50Ms: median(pushes),
    pushP99Ms: quantile(pushes, 0.99),
  };
  model.dispose();
}

{
  const model = await vocoder('auto');
  const mel = spectrogram(model.config.num_mels, frames);
  const stream = model.stream();
  report.lookaheadFrames = stream.lookahead;
  await model.synthesize(part(mel, 0, 32));
  const first = [];
  for (let round = 0; round < rounds; round++) {
    const fresh = model.stream();
    const started = performance.now();
    const samples = await fresh.push(part(mel, 0, stream.lookahead + 1));
    first.push(performance.now() - started);
    if (samples.length < model.hop) throw new Error(`${samples.length} samples after look-ahead and one frame; at least ${model.hop} are due`);
    fresh.dispose();
  }
  report.firstAudioMs = median(first);
  await stream.push(part(mel, 0, 64));
  report.stateBytes = stream.stateBytes;
  stream.dispose();

  // Many at once, each pushing its next piece when it has the samples of the last.
  const pieces = piecesOf(mel).slice(0, 8);
  const pushed = pieces.reduce((sum, piece) => sum + piece.frames, 0);
  const open = async (times) => {
    const voice = model.stream();
    for (const piece of pieces) {
      const started = performance.now();
      await voice.push(piece);
      times.push(performance.now() - started);
    }
    voice.dispose();
  };
  const all = (times) => Promise.all(Array.from({ length: streams }, () => open(times)));
  await all([]);
  const whole = spectrogram(model.config.num_mels, pushed * 4);
  await model.synthesize(whole);
  // Frames a second; one utterance before and after each crowd, so that both meet the same machine.
  const alone = async () => (1000 * whole.frames) / (await timed(() => model.synthesize(whole))).wall;
  const crowds = [];
  for (let round = 0; round < Math.min(rounds, 3); round++) {
    const times = [];
    const before = await alone();
    const together = (await timed(() => all(times))).wall;
    const offline = (before + (await alone())) / 2;
    const [framesPerSecond, fair] = [(1000 * streams * pushed) / together, together / pieces.length];
    crowds.push({
      framesPerSecond,
      offlineFramesPerSecond: offline,
      ofOffline: framesPerSecond / offline,
      pushP50Ms: median(times),
      pushP99Ms: quantile(times, 0.99),
      fairShareMs: fair,
      p99OfFairShare: quantile(times, 0.99) / fair,
    });
  }
  crowds.sort((a, b) => a.ofOffline - b.ofOffline);
  report.many = crowds[Math.floor(crowds.length / 2)];
  report.many.worstP99OfFairShare = Math.max(...crowds.map(({ p99OfFairShare }) => p99OfFairShare));

  await device.synchronize();
  const before = device.memory();
  for (let i = 0; i < 1000; i += 50) {
    await Promise.all(
      Array.from({ length: 50 }, async () => {
        const controller = new AbortController();
        const voice = model.stream({ signal: controller.signal });
        await voice.push(pieces[0]);
        controller.abort();
      }),
    );
  }
  await device.synchronize();
  const after = device.memory();
  report.thousandAborted = { tensors: after.tensors - before.tensors, bytes: after.liveBytes - before.liveBytes };
  model.dispose();
}

if (options.json) console.log(JSON.stringify(report, null, 2));
else {
  const { many } = report;
  console.log(`streaming: ${report.model} on ${report.device}, ${report.threads} thread(s), pieces of ${chunk} frames, medians of ${rounds} rounds\n`);
  console.log('algorithm  offline ms/frame  streamed  ratio  of best  processor  push p50 ms    p99');
  for (const name of ['auto', 'direct']) {
    const row = report[name];
    const cells = [row.offlineMsPerFrame.toFixed(3), row.streamedMsPerFrame.toFixed(3), row.wallRatio.toFixed(2), row.bestWallRatio.toFixed(2)];
    cells.push(row.cpuRatio.toFixed(2), row.pushP50Ms.toFixed(2), row.pushP99Ms.toFixed(2));
    console.log(name.padEnd(9) + [18, 10, 7, 9, 11, 13, 7].map((width, i) => cells[i].padStart(width)).join(''));
  }
  console.log(`\nlook-ahead ${report.lookaheadFrames} frames; first audio ${report.firstAudioMs.toFixed(1)} ms after look-ahead and one frame are pushed`);
  console.log(`state of a stream ${(report.stateBytes / 1024).toFixed(0)} KiB`);
  console.log(`${streams} streams: ${many.framesPerSecond.toFixed(0)} frames/s, ${many.ofOffline.toFixed(2)} of one long utterance's`);
  console.log(`  a push takes ${many.pushP50Ms.toFixed(0)} ms, p99 ${many.pushP99Ms.toFixed(0)}: ${many.p99OfFairShare.toFixed(2)} fair shares`);
  console.log(`1000 streams aborted half-way: ${report.thousandAborted.tensors} tensors and ${report.thousandAborted.bytes} bytes more than before`);
}
