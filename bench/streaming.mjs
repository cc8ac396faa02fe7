// What streaming costs beside synthesising at once: `npm run bench -- streaming [--model voice,v1,v3] [--threads 1,2] [--streams 64]
// [--chunk 16] [--frames 320] [--rounds 15] [--seconds 20] [--device cpu] [--json]`. Each model with each number of threads is a row, measured
// in a process of its own for about --seconds, in fewer rounds where they are long. With --table and files of such reports it prints the
// table of docs/streaming.md instead.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { models } from './streaming/subjects.mjs';
import { range, table } from './streaming/table.mjs';

const require = createRequire(import.meta.url);
const { describeMachine } = require('../dist/cli/bench/machine.js');
const { version } = require('../package.json');

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    model: { type: 'string', default: 'voice' },
    threads: { type: 'string', default: '1' },
    streams: { type: 'string', default: '64' },
    chunk: { type: 'string', default: '16' },
    frames: { type: 'string', default: '320' },
    rounds: { type: 'string', default: '15' },
    seconds: { type: 'string', default: '20' },
    device: { type: 'string', default: 'cpu' },
    json: { type: 'boolean', default: false },
    table: { type: 'boolean', default: false },
  },
});

function whole(name, text = values[name]) {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new Error(`--${name} is ${values[name]}; it must be a whole number of at least 1`);
  return number;
}

if (values.table) {
  console.log(table(positionals).join('\n'));
  process.exit();
}

const chosen = values.model.split(',');
for (const model of chosen) if (!models.includes(model)) throw new Error(`--model is ${values.model}; known are ${models.join(', ')}`);
const threads = values.threads.split(',').map((text) => whole('threads', text));
const settings = Object.fromEntries(['streams', 'chunk', 'frames', 'rounds', 'seconds'].map((name) => [name, whole(name)]));

function measure(model, count) {
  const options = { ...settings, model, threads: count, device: values.device };
  const script = fileURLToPath(new URL('streaming/measure.mjs', import.meta.url));
  const { status, stdout } = spawnSync(process.execPath, [script, JSON.stringify(options)], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  if (status !== 0) throw new Error(`${model} with ${count} thread(s) could not be measured`);
  return JSON.parse(stdout);
}

const kibibytes = (bytes) => `${(bytes / 1024).toFixed(0)} KiB`;

function* text(row) {
  yield `${row.model} on ${row.device}, ${row.threads} thread(s), pieces of ${settings.chunk} frames; medians, quartiles in brackets`;
  for (const algorithm of ['auto', 'direct']) {
    const { offlineMsPerFrame, streamedMsPerFrame, wallRatio, processorRatio, pushMs } = row[algorithm];
    yield `  ${algorithm.padEnd(6)} ms/frame ${streamedMsPerFrame.median.toFixed(3)}, at once ${offlineMsPerFrame.median.toFixed(3)}; ratio ${range(wallRatio)}, processor ${range(processorRatio)}, ${wallRatio.samples} rounds; push ${pushMs.median.toFixed(2)} ms, p99 ${pushMs.p99.toFixed(2)}`;
  }
  yield `  first audio ${row.firstAudioMs.median.toFixed(1)} ms after ${row.lookaheadFrames} frames of look-ahead and one more are pushed`;
  const { streams, pieces, framesPerSecond, ofOffline, pushMs, p99OfFairShare } = row.many;
  yield `  state of a stream ${kibibytes(row.memory.stateBytes)}; ${kibibytes(row.memory.countedBytes)} counted for each of ${streams}`;
  yield `  ${streams} streams of ${pieces} pieces: ${framesPerSecond.median.toFixed(0)} frames/s, ${ofOffline.median.toFixed(2)} of one long utterance's; a push takes ${pushMs.median.toFixed(0)} ms, p99 ${pushMs.p99.toFixed(0)}: ${p99OfFairShare.median.toFixed(2)} fair shares, ${p99OfFairShare.worst.toFixed(2)} in the worst of ${p99OfFairShare.samples} rounds`;
  yield `  ${row.aborted.streams} streams aborted after ${row.aborted.frames} frames: ${row.aborted.tensors} tensors and ${row.aborted.bytes} bytes more than before\n`;
}

const report = {
  format: 1,
  kind: 'streaming',
  version,
  command: ['npm run --silent bench -- streaming', ...process.argv.slice(2)].join(' '),
  date: new Date().toISOString(),
  machine: describeMachine(),
  settings,
  rows: [],
};
for (const model of chosen) {
  for (const count of threads) {
    report.rows.push(measure(model, count));
    if (!values.json) console.log([...text(report.rows.at(-1))].join('\n'));
  }
}
if (values.json) console.log(JSON.stringify(report));
