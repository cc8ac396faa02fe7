// Everything a binary has to do on a platform: layers, a vocoder, errors, a worker. Prints one line of JSON.
const fs = require('node:fs');
const path = require('node:path');
const { Worker, isMainThread, parentPort } = require('node:worker_threads');
const { audio, Device, functional } = require('weightnorm');

const device = Device.get('cpu');
const compute = () =>
  functional
    .weightNorm(
      device.tensor([
        [3, 4],
        [6, 8],
      ]),
      device.tensor([[5], [1]]),
    )
    .read();

async function main() {
  const root = path.dirname(require.resolve('weightnorm/package.json'));
  const voiceFolder = path.join(root, 'examples', 'voice');
  const voice = await audio.HifiGan.load(voiceFolder, { device });
  const { channels } = await audio.readWav(path.join(voiceFolder, 'sample-1.wav'));
  const frames = Number(process.argv[2] ?? 40);
  const speech = await voice.synthesize(audio.melSpectrogram(channels[0].subarray(8000, 8000 + frames * voice.config.hop_size), voice.config));
  let code;
  try {
    functional.conv1d(device.ones([1, 2, 8]), device.ones([2, 3, 3]));
  } catch (error) {
    code = error.code;
  }
  const fromWorker = await new Promise((resolve, reject) => new Worker(__filename).on('message', resolve).on('error', reject));
  const loaded = fs.existsSync('/proc/self/maps') ? fs.readFileSync('/proc/self/maps', 'utf8').match(/\S*weightnorm\S*\.node$/m)?.[0] : undefined;
  const half = await functional.weightNorm(device.randn([16, 64], { seed: 3, dtype: 'float16' }), device.ones([16, 1], 'float16')).read();
  console.log(
    JSON.stringify({
      ...{ node: process.versions.node, bun: process.versions.bun, platform: process.platform, arch: process.arch, features: device.info.features },
      ...{ loaded: loaded && path.relative(root, loaded), weights: [...(await compute())], fromWorker, code },
      ...{ half: half.reduce((sum, x) => sum + Math.abs(x), 0), samples: speech.length, energy: speech.reduce((sum, x) => sum + x * x, 0) },
    }),
  );
}

if (isMainThread) main();
else compute().then((w) => parentPort.postMessage([...w]));
