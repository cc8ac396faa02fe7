// `npm run load`: a server in a process of its own, and callers on the loopback. Prints a table, also as JSON with --json.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpus } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import autocannon from 'autocannon';
import { timesRealTime } from './alone.mjs';
import { firstAudio } from './first-audio.mjs';
import { melBody } from './mel-body.mjs';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '6' },
    speech: { type: 'string', default: '1' },
    callers: { type: 'string', default: '1,8,16' },
    // Requests a second that arrive whether answered or not: more than can be served.
    rate: { type: 'string', default: '50' },
    json: { type: 'boolean', default: false },
  },
});
const [seconds, speech] = [Number(values.seconds), Number(values.speech)];
const { body, mel, audioSeconds } = await melBody(speech);
const alone = [await timesRealTime(mel, audioSeconds)];

const main = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', 'dist', 'main.js');
const server = spawn(process.execPath, [main], { env: { QUEUE_LIMIT: '16', ...process.env, PORT: '0' }, stdio: ['ignore', 'pipe', 'inherit'] });
let output = '';
server.stdout.on('data', (text) => {
  output += text;
});
while (!/listening at/.test(output)) {
  if (server.exitCode !== null) throw new Error(`the server ended with ${server.exitCode}`);
  await new Promise((resolve) => setTimeout(resolve, 50));
}
const [, url, device] = /listening at (\S+), synthesising on (.*)/.exec(output);
// Reading the metrics starts a new period for the event loop's.
const metrics = async () => (await fetch(`${url}/metrics`)).text();
const metric = (text, name) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
const headers = { 'content-type': 'application/x-npy' };
const request = { url: `${url}/synthesize`, method: 'POST', headers, body };

await autocannon({ ...request, connections: 2, duration: 1 });
const rows = [];
const rate = Number(values.rate);
const loads = [...values.callers.split(',').map((callers) => ({ connections: Number(callers) })), { connections: 128, overallRate: rate }];
for (const load of loads) {
  const before = metric(await metrics(), 'weightnorm_audio_seconds_total');
  const started = performance.now();
  const [result, first] = await Promise.all([autocannon({ ...request, ...load, duration: seconds, timeout: 60 }), firstAudio(url, body, seconds)]);
  const elapsed = (performance.now() - started) / 1000;
  const after = await metrics();
  const made = metric(after, 'weightnorm_audio_seconds_total') - before;
  const busy = result.statusCodeStats?.['429']?.count ?? 0;
  const other = result.errors + result.timeouts + result.non2xx - busy;
  if (other > 0) throw new Error(`${other} requests failed: ${JSON.stringify(result.statusCodeStats)}`);
  rows.push({
    callers: load.overallRate ? `${rate} a second` : `${load.connections}`,
    answers: result['2xx'],
    refused: busy,
    timesRealTime: made / elapsed,
    latencyMs: { p50: result.latency.p50, p97_5: result.latency.p97_5, max: result.latency.max },
    firstAudioMs: first,
    eventLoopP99Ms: metric(after, 'nodejs_eventloop_lag_p99_seconds') * 1000,
  });
}
const rss = metric(await metrics(), 'process_resident_memory_bytes');
server.kill('SIGTERM');
const [code] = await once(server, 'exit');
if (code !== 0) throw new Error(`the server ended with ${code}`);
alone.push(await timesRealTime(mel, audioSeconds));

const report = {
  device,
  processors: cpus().length,
  processor: cpus()[0]?.model,
  speechSeconds: audioSeconds,
  seconds,
  aloneTimesRealTime: alone,
  rssMiB: rss / 2 ** 20,
  rows,
};
if (values.json) console.log(JSON.stringify(report));
else {
  console.log(`${device}, ${report.processors} × ${report.processor}; ${audioSeconds.toFixed(2)} s of speech a request, ${seconds} s a row\n`);
  console.log(
    '| callers | answered | refused (429) | speech made, × real time | answer p50 / p97.5 / max, ms | first audio p50 / max, ms | event loop p99, ms |',
  );
  console.log('|---|---|---|---|---|---|---|');
  for (const { callers, answers, refused, timesRealTime, latencyMs: l, firstAudioMs: f, eventLoopP99Ms } of rows) {
    const first = f.count > 0 ? `${f.p50.toFixed(0)} / ${f.max.toFixed(0)}` : 'refused';
    console.log(
      `| ${callers} | ${answers} | ${refused} | ${timesRealTime.toFixed(1)} | ${l.p50} / ${l.p97_5} / ${l.max} | ${first} | ${eventLoopP99Ms.toFixed(0)} |`,
    );
  }
  console.log(`\nthe library alone, one utterance after another: ${alone.map((times) => times.toFixed(1)).join(' before, ')} after, × real time`);
  console.log(`resident memory at the end: ${report.rssMiB.toFixed(0)} MiB`);
}
