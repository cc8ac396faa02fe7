// `npm run docs:pictures`: draws docs/pictures/look-ahead.svg, how far each part of HiFi-GAN V1 has come when 32 frames are pushed. The numbers are those that the layers' streams give.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ensureBuilt } from './ensure-built.mjs';
import { root } from './run.mjs';

await ensureBuilt();
const { audio, Device } = await import('weightnorm');
const { vocoderConfigs } = (await import('../dist/cli/bench/cases.js')).default;
// The layers look ahead alike however many channels they have.
const config = { ...vocoderConfigs.V1, upsample_initial_channel: 16 };
const vocoder = new audio.HifiGan(config, { device: Device.get('cpu'), init: 'zeros' });

/** Steps that a module looks ahead; its stream says. */
function ahead(module) {
  const stream = module.stream();
  const { lookahead } = stream;
  stream.dispose();
  return lookahead;
}
const pushed = 32;
let rate = 1;
const parts = [{ name: 'conv_pre', why: 'kernel 7', frames: ahead(vocoder.conv_pre) }];
for (const [stage, up] of vocoder.ups.entries()) {
  // A transposed convolution of stride s waits for (kernel − s) / 2 of its own outputs.
  rate *= config.upsample_rates[stage];
  const waits = (config.upsample_kernel_sizes[stage] - config.upsample_rates[stage]) / 2;
  const blocks = Math.max(...vocoder.resblocks.slice(stage * 3, stage * 3 + 3).map(ahead));
  if (ahead(up) !== Math.ceil(waits / config.upsample_rates[stage])) throw new Error(`the stream of ups.${stage} looks ${ahead(up)} steps ahead`);
  parts.push({
    name: `stage ${stage + 1}`,
    why: `up ×${config.upsample_rates[stage]}, blocks ${blocks} of ${rate} steps a frame`,
    frames: (waits + blocks) / rate,
  });
}
parts.push({ name: 'conv_post', why: 'kernel 7', frames: ahead(vocoder.conv_post) / rate });
const all = parts.reduce((sum, { frames }) => sum + frames, 0);
const whole = ahead(vocoder);
if (Math.ceil(all) !== whole) throw new Error(`the parts look ${all} frames ahead, the vocoder ${whole}`);

const [left, unit, bar, gap, top] = [110, 15, 18, 10, 66];
const x = (frames) => (left + unit * frames).toFixed(1);
const row = (i) => top + i * (bar + gap);
const text = (at, y, value, extra = '') => `<text x="${at}" y="${y}" ${extra}>${value}</text>`;
const rect = (from, to, i, fill) => `<rect x="${x(from)}" y="${row(i)}" width="${(unit * (to - from)).toFixed(1)}" height="${bar}" fill="${fill}"/>`;
const bars = [];
let known = pushed;
bars.push(rect(0, pushed, 0, '#57606a'), text(left - 8, row(0) + 13, 'frames pushed', 'text-anchor="end"'));
for (const [i, { name, why, frames }] of parts.entries()) {
  bars.push(rect(0, known - frames, i + 1, '#0969da'), rect(known - frames, known, i + 1, '#b6d7ff'));
  bars.push(text(left - 8, row(i + 1) + 13, name, 'text-anchor="end"'));
  bars.push(text(x(pushed + 0.6), row(i + 1) + 13, `${frames.toFixed(2)} frames: ${why}`));
  known -= frames;
}
const last = parts.length + 1;
const out = pushed - whole;
bars.push(rect(0, out, last, '#1a7f37'), text(left - 8, row(last) + 13, 'samples out', 'text-anchor="end"'));
bars.push(text(x(out + 0.6), row(last) + 13, `look-ahead ${all.toFixed(2)} frames: ${whole} whole ones`, 'font-weight="bold"'));
const bottom = row(last) + bar + 8;
const [width, height] = [left + unit * pushed + 300, bottom + 34];
const lines = [
  `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12" fill="#24292f">`,
  '<rect width="100%" height="100%" fill="#ffffff"/>',
  text(left, 24, 'What each part of HiFi-GAN V1 or V2 has computed when 32 frames are pushed', 'font-size="15" font-weight="bold"'),
  text(left, 46, 'dark: determined; light: what the part before has computed and this one still waits beside'),
  ...bars,
  `<line x1="${x(pushed)}" y1="${top - 8}" x2="${x(pushed)}" y2="${bottom}" stroke="#cf222e" stroke-width="1.5"/>`,
  text(x(pushed), bottom + 14, 'now', 'text-anchor="middle" fill="#cf222e"'),
  ...[0, 8, 16, 24].map((frame) => text(x(frame), bottom + 14, `frame ${frame}`, 'text-anchor="middle"')),
  '</svg>\n',
];
vocoder.dispose();
const output = path.resolve(process.argv[2] ?? path.join(root, 'docs', 'pictures'), 'look-ahead.svg');
mkdirSync(path.dirname(output), { recursive: true });
writeFileSync(output, lines.join('\n'));
console.log(`${path.relative(process.cwd(), output)}: ${whole} frames`);
