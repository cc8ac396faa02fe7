// `npm run docs:pictures`: draws docs/pictures/spectrograms.svg, the bundled voice's sample before and after, with the library's own mel code.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { crc32, deflateSync } from 'node:zlib';
import { ensureBuilt } from './ensure-built.mjs';
import { root } from './run.mjs';

/** Dark to bright, even steps of lightness. */
const stops = ['090818', '261554', '5b1e7d', '96297d', 'cf3f65', 'f36b4c', 'fea95b', 'fce8a4'].map((hex) => Buffer.from(hex, 'hex'));
const palette = Buffer.concat(
  Array.from({ length: 256 }, (_, i) => {
    const place = (i / 255) * (stops.length - 1);
    const left = Math.min(stops.length - 2, Math.floor(place));
    return Buffer.from(stops[left].map((value, part) => Math.round(value + (stops[left + 1][part] - value) * (place - left))));
  }),
);

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  check.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, check]);
}

/** An indexed PNG; `index(x, y)` from 0 to 255. */
function png(width, height, index) {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 3, 0, 0, 0], 8);
  const rows = Buffer.alloc((width + 1) * height);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) rows[y * (width + 1) + 1 + x] = index(x, y);
  const signature = Buffer.from('89504e470d0a1a0a', 'hex');
  const parts = [chunk('IHDR', header), chunk('PLTE', palette), chunk('IDAT', deflateSync(rows, { level: 9 })), chunk('IEND', Buffer.alloc(0))];
  return Buffer.concat([signature, ...parts]);
}

const [left, width, height, gap] = [70, 800, 200, 62];
/** Slaney's mel scale, on which the bands are evenly spaced. */
const melOf = (hertz) => (hertz < 1000 ? hertz * 0.015 : 15 + (27 * Math.log(hertz / 1000)) / Math.log(6.4));

function panel(title, { data, mels, frames }, config, loudest, top) {
  // 9 nepers, 78 dB, from dark to bright.
  const level = (x, y) => Math.round(255 * Math.max(0, Math.min(1, 1 + (data[(mels - 1 - y) * frames + x] - loudest) / 9)));
  const seconds = (frames * config.hop_size) / config.sampling_rate;
  const highest = config.fmax ?? config.sampling_rate / 2;
  const rows = [0, 500, 1000, 2000, 4000, 8000].filter((hertz) => hertz <= highest);
  return [
    `<text x="${left}" y="${top - 10}" font-size="15" font-weight="bold">${title}</text>`,
    `<image x="${left}" y="${top}" width="${width}" height="${height}" preserveAspectRatio="none" href="data:image/png;base64,${png(frames, mels, level).toString('base64')}"/>`,
    ...rows.map(
      (hertz) =>
        `<text x="${left - 8}" y="${(top + height * (1 - (0.97 * melOf(hertz)) / melOf(highest))).toFixed(1)}" text-anchor="end">${hertz < 1000 ? `${hertz} Hz` : `${hertz / 1000} kHz`}</text>`,
    ),
    ...Array.from({ length: Math.floor(seconds * 2) + 1 }, (_, i) => i / 2).map(
      (time) => `<text x="${(left + (width * time) / seconds).toFixed(1)}" y="${top + height + 16}" text-anchor="middle">${time} s</text>`,
    ),
  ];
}

await ensureBuilt();
const { audio, Device } = await import('weightnorm');
const folder = path.join(root, 'examples', 'voice');
const voice = await audio.HifiGan.load(folder, { device: Device.get('cpu'), algorithm: 'direct' });
const { channels } = await audio.readWav(path.join(folder, 'sample-1.wav'));
const config = voice.melConfig;
const before = audio.melSpectrogram(channels[0], config);
const after = audio.melSpectrogram(await voice.synthesize(before), config);
const loudest = before.data.reduce((a, b) => Math.max(a, b));
const total = 2 * (height + gap) + 8;
const lines = [
  `<svg xmlns="http://www.w3.org/2000/svg" width="${left + width + 30}" height="${total}" viewBox="0 0 ${left + width + 30} ${total}" font-family="sans-serif" font-size="12" fill="#24292f">`,
  `<rect width="100%" height="100%" fill="#ffffff"/>`,
  ...panel('sample-1.wav, a recording', before, config, loudest, 32),
  ...panel('the same, resynthesised by the bundled voice', after, config, loudest, 32 + height + gap),
  '</svg>\n',
];
const output = path.resolve(process.argv[2] ?? path.join(root, 'docs', 'pictures'), 'spectrograms.svg');
mkdirSync(path.dirname(output), { recursive: true });
writeFileSync(output, lines.join('\n'));
console.log(`${path.relative(process.cwd(), output)}: mean log-mel difference ${audio.melDistance(before, after).toFixed(3)}`);
