// What Metal is asked to do, counted under the software Metal, and the least time that takes on Apple's chips:
//   node bench/roofline.mjs [--json] [--plots folder] [--size smallest|default] [--frames 250]
// The times are lower bounds from counts and published peaks. They are not measurements: no Apple GPU has run this.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { root } from '../scripts/run.mjs';
import { modelCases, opCases } from './roofline/cases.mjs';
import { chips, leastSeconds, oneByOne } from './roofline/chips.mjs';
import { recorder } from './roofline/record.mjs';

process.env.WEIGHTNORM_ADDON = 'softmetal';
const require = createRequire(path.join(root, 'package.json'));
const W = require('./dist/index.js');
const { addon } = require('./dist/native.js');
const { bundledVoice, vocoderConfigs } = require('./dist/cli/bench/cases.js');
const { describeMachine } = require('./dist/cli/bench/machine.js');
const { logChart } = require('./dist/cli/bench/svg.js');
const { alignColumns } = require('./dist/cli/bench/table.js');
const softmetal = require('./build/softmetal/softmetal_control.node');

const { values } = parseArgs({
  options: { json: { type: 'boolean' }, plots: { type: 'string' }, size: { type: 'string', default: 'default' }, frames: { type: 'string', default: '250' } },
});
const smallest = values.size === 'smallest';
const frames = smallest ? 8 : Number(values.frames);
const device = W.Device.get('metal');
const cpu = W.Device.get('cpu');
const record = recorder(addon);
// The specs look for races; without it models are counted in seconds.
softmetal.set('race_check', 0);

const opsPerBuffer = Number(/maxOps = (\d+)/.exec(readFileSync(path.join(root, 'native', 'metal', 'overrides.h'), 'utf8'))[1]);
const sum = (list, key) => list.reduce((total, item) => total + item[key], 0);
const dispose = (result) => [result].flat().forEach((tensor) => tensor.dispose());

/** Counters of one call: what was submitted and what kernels did. */
async function count(run) {
  dispose(run());
  await device.synchronize();
  softmetal.resetCounters();
  const { result, calls } = record(run);
  // The end of the turn submits; waiting for a result is not part of the call.
  await new Promise(setImmediate);
  await device.synchronize();
  const { kernels, commandBuffers, encoders, dispatches, memoryBarriers, copies, matrixProducts, matrixProductFlops } = JSON.parse(softmetal.counters());
  dispose(result);
  const all = Object.values(kernels);
  return {
    operations: calls.length,
    commandBuffers,
    encoders,
    dispatches,
    memoryBarriers,
    copies,
    matrixProducts,
    matrixProductFlops,
    bytesRead: sum(all, 'bytesRead'),
    bytesWritten: sum(all, 'bytesWritten'),
    threadgroupBarriers: sum(all, 'barriers'),
    kernels: Object.fromEntries(
      Object.entries(kernels).map(([name, { dispatches: times, threads, bytesRead, bytesWritten }]) => [
        name,
        { dispatches: times, threads, bytesRead, bytesWritten },
      ]),
    ),
    least: { reads: sum(calls, 'reads'), writes: sum(calls, 'writes'), flops: sum(calls, 'flops') },
    kinds: calls.map(({ kind }) => kind),
  };
}

const checks = [];
const check = (name, ok, detail) => checks.push({ name, ok, detail });

async function countOps() {
  const rows = [];
  for (const dtype of smallest ? ['float32'] : ['float32', 'float16', 'bfloat16']) {
    let seed = 1;
    const make = { device, dtype, randn: (...shape) => device.randn(shape, { seed: seed++, dtype }) };
    for (const [name, build, dispatches] of opCases(W)) {
      if (dtype !== 'float32' && !/^(weightNorm|norm)/.test(name)) continue;
      const counted = await count(build(make));
      rows.push({ name, dtype, ...counted });
      const work = counted.dispatches + counted.matrixProducts;
      check(`${name}, ${dtype}: at most ${dispatches} dispatch${dispatches === 1 ? '' : 'es'}`, work >= 1 && work <= dispatches, `${work}`);
      check(
        `${name}, ${dtype}: each result is written once`,
        counted.bytesWritten === counted.least.writes,
        `${counted.bytesWritten} bytes of ${counted.least.writes}`,
      );
    }
  }
  return rows;
}

/** Operations of a forward of that many frames, from shapes: the same calls, run on the CPU. */
async function operationsOf(model, length) {
  model.to(cpu);
  const mel = cpu.randn([1, model.config.num_mels, length], { seed: 1 });
  dispose(model.forward(mel));
  const { result, calls } = record(() => model.forward(mel));
  await cpu.synchronize();
  dispose(result);
  return calls;
}

async function countModel({ name, make, frames: counted }) {
  const model = await make(device);
  const mel = device.randn([1, model.config.num_mels, counted], { seed: 1 });
  const counts = await count(() => model.forward(mel));
  const convolutions = counts.kinds.filter((kind) => kind === 'conv').length;
  const limit = Math.ceil(counts.operations / opsPerBuffer);
  check(
    `${name}: a convolution is one dispatch`,
    counts.dispatches === counts.operations && convolutions > 0,
    `${counts.dispatches} dispatches, ${counts.operations} operations, ${convolutions} convolutions`,
  );
  check(
    `${name}: at most ceil(${counts.operations} / ${opsPerBuffer}) command buffers`,
    counts.commandBuffers >= 1 && counts.commandBuffers <= limit,
    `${counts.commandBuffers} of ${limit}`,
  );
  const parameters = sum([...model.namedParameters().values()], 'byteLength');
  const calls = await operationsOf(model, frames);
  // Parameters, the spectrogram and the waveform cross the memory bus at least once, whatever is cached in between.
  const outer = { flops: sum(calls, 'flops'), bytes: parameters + 4 * frames * (model.config.num_mels + model.hop) };
  const bounds = chips.map((chip) => ({ chip: chip.name, ...leastSeconds(outer, chip), oneByOne: oneByOne(calls, chip) }));
  const seconds = model.config.sampling_rate ? (frames * model.hop) / model.config.sampling_rate : (frames * model.hop) / 22050;
  model.dispose();
  return { name, frames: counted, ...counts, bounds: { frames, audioSeconds: seconds, ...outer, bytesOneByOne: sum(calls, 'bytes'), chips: bounds } };
}

const number = (value) => value.toLocaleString('en');
const time = (seconds) => (seconds >= 1e-3 ? `${(seconds * 1e3).toFixed(2)} ms` : `${(seconds * 1e6).toFixed(1)} µs`);

function text({ models, ops }) {
  const head = ['', 'operations', 'dispatches', 'buffers', 'barriers', 'read', 'written', 'least read', 'least written', 'MFLOP'];
  const line = (name, row) => [
    name,
    ...[
      row.operations,
      row.dispatches + row.matrixProducts,
      row.commandBuffers,
      row.memoryBarriers,
      row.bytesRead,
      row.bytesWritten,
      row.least.reads,
      row.least.writes,
    ].map(number),
    (row.least.flops / 1e6).toFixed(2),
  ];
  const bound = models.map(({ bounds }) => bounds);
  return [
    'Counted under the software Metal. Bytes are what threads load and store, constants included and caches not considered; least: each operand and result once.',
    '',
    ...alignColumns([
      head,
      ...models.map((row) => line(`${row.name}, ${row.frames} frames`, row)),
      ...ops.map((row) => line(`${row.name}, ${row.dtype}`, row)),
    ]),
    '',
    `LOWER BOUNDS of a forward of ${frames} frames, from these counts and the chips' published peaks. Not measured: no Apple GPU has run this.`,
    'First: all arithmetic at the float32 peak, or parameters, input and output once through memory, whichever takes longer (* memory).',
    'Second: the same operation by operation, each with its operands from memory and its result to memory.',
    '',
    ...alignColumns([
      ['', ...models.map(({ name }) => name)],
      ...chips.map(({ name, teraflops }, i) => [
        teraflops === null ? `${name} (bandwidth only)` : name,
        ...bound.map((b) => `${time(b.chips[i].seconds)}${b.chips[i].limit === 'memory' ? '*' : ' '} ${time(b.chips[i].oneByOne)}`),
      ]),
      ['MFLOP', ...bound.map(({ flops }) => number(Math.round(flops / 1e6)))],
      ['audio', ...bound.map(({ audioSeconds }) => `${audioSeconds.toFixed(2)} s`)],
    ]),
    '',
    `checks     ${checks.filter(({ ok }) => ok).length} passed, ${checks.filter(({ ok }) => !ok).length} failed`,
    ...checks.filter(({ ok }) => !ok).map(({ name, detail }) => `FAILED     ${name}: ${detail}`),
  ];
}

/** Attainable GFLOP/s against FLOP a byte: a roof a chip, a point a model (at its operations' own traffic) on the roof of the fastest. */
function plot({ models }) {
  const known = chips.filter(({ teraflops }) => teraflops !== null);
  const roof = ({ teraflops, gigabytes }, intensity) => Math.min(teraflops * 1e3, gigabytes * intensity);
  const lines = known.map((chip) => ({ name: chip.name, points: [0.1, (chip.teraflops * 1e3) / chip.gigabytes, 1000].map((x) => [x, roof(chip, x)]) }));
  const fastest = known.at(-1);
  const points = models.map(({ name, bounds }) => {
    const intensity = bounds.flops / bounds.bytesOneByOne;
    return { name: `${name}, ${bounds.frames} frames`, points: [[intensity, roof(fastest, intensity)]], scatter: true };
  });
  const norm = { name: 'weight norm alone', points: [[3 / 8, roof(fastest, 3 / 8)]], scatter: true };
  return logChart(`Roofline: what ${fastest.name} could at most attain. Lower bounds of time, not measurements`, [...lines, ...points, norm], {
    x: 'FLOP a byte of each operation’s own operands',
    y: 'GFLOP/s',
  });
}

const models = [];
for (const model of modelCases(W, vocoderConfigs, bundledVoice)) if (smallest === Boolean(model.smallest)) models.push(await countModel(model));
const report = {
  format: 1,
  kind: 'roofline',
  note: 'counts under the software Metal; times are lower bounds from published peaks, not measurements',
  command: ['node', 'bench/roofline.mjs', ...process.argv.slice(2)].join(' '),
  date: new Date().toISOString(),
  machine: describeMachine(),
  chips,
  models,
  ops: await countOps(),
  checks,
};
if (values.plots) {
  mkdirSync(values.plots, { recursive: true });
  writeFileSync(path.join(values.plots, 'roofline.svg'), plot(report));
}
console.log(values.json ? JSON.stringify(report) : text(report).join('\n'));
process.exitCode = checks.every(({ ok }) => ok) ? 0 : 1;
