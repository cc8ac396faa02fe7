import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { audio, Device, io } from 'weightnorm';
import { startServer } from '../dist/server.js';
import { expected, longMel, npyOf, post, samplesOf, settingsWith, speech, startProcess, until, voiceFolder } from './support.mjs';

const config = JSON.parse(readFileSync(path.join(voiceFolder, 'config.json'), 'utf8'));
const health = async (server) => (await fetch(`${server.url}/healthz`)).json();
const bytesOf = async (response) => Buffer.from(await response.arrayBuffer());

describe('a server by itself', () => {
  let server;
  let mel;
  let right;
  before(async () => {
    server = await startServer(settingsWith());
    mel = audio.melSpectrogram((await audio.readWav(speech)).channels[0], config);
    right = await expected(mel);
  });
  after(() => server.stop());

  test('a recording comes back as the library itself synthesises it', async () => {
    const response = await post(server.url, readFileSync(speech));
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('content-type'), 'audio/wav');
    const bytes = await bytesOf(response);
    assert.equal(Number(response.headers.get('content-length')), bytes.length);
    assert.deepEqual(samplesOf(bytes), right);
  });

  test('a spectrogram as .npy and as safetensors gives the same', async () => {
    const npy = await npyOf(mel.data, [mel.mels, mel.frames]);
    assert.deepEqual(samplesOf(await bytesOf(await post(server.url, npy, { type: 'application/x-npy' }))), right);
    const folder = await mkdtemp(path.join(tmpdir(), 'weightnorm-server-'));
    const file = path.join(folder, 'mel.safetensors');
    await io.saveSafetensors(file, new Map([['mel', Device.get('cpu').tensor(mel.data, { shape: [1, mel.mels, mel.frames] })]]));
    const answer = await post(server.url, readFileSync(file), { type: 'application/x-safetensors' });
    assert.deepEqual(samplesOf(await bytesOf(answer)), right);
    await rm(folder, { recursive: true });
  });

  test('many callers at once each get their own', async () => {
    const cuts = Array.from({ length: 24 }, (_, i) => 20 + 3 * i);
    const answers = await Promise.all(
      cuts.map(async (frames) => {
        const data = new Float32Array(mel.mels * frames);
        for (let band = 0; band < mel.mels; band++) data.set(mel.data.subarray(band * mel.frames, band * mel.frames + frames), band * frames);
        const response = await post(server.url, await npyOf(data, [mel.mels, frames]), { type: 'application/x-npy' });
        return { samples: samplesOf(await bytesOf(response)), mel: { data, mels: mel.mels, frames } };
      }),
    );
    for (const { samples, mel: own } of [answers[0], answers[11], answers[23]]) assert.deepEqual(samples, await expected(own));
  });

  test('sound comes while it is made', async () => {
    const { body, mel: long } = await longMel(20);
    const started = performance.now();
    const response = await post(server.url, body, { type: 'application/x-npy' });
    const reader = response.body.getReader();
    let first = 0;
    let pieces = 0;
    let bytes = 0;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      pieces++;
      bytes += value.length;
      if (bytes > 44 && first === 0) first = performance.now() - started;
    }
    const whole = performance.now() - started;
    assert.equal(bytes, 44 + 2 * long.frames * config.hop_size);
    assert.ok(pieces > 10, `${pieces} pieces`);
    assert.ok(first < whole / 3, `first sound after ${first} of ${whole} ms`);
  });

  const bad = [
    ['a body that is neither', Buffer.from('hello'), 'application/octet-stream', 400, 'ERR_FORMAT', /the body: is 5 bytes long/],
    ['a WAV cut short', readFileSync(speech).subarray(0, 1000), 'audio/wav', 400, 'ERR_FORMAT', /the body: .*cut short/],
    ['an empty body', Buffer.alloc(0), 'audio/wav', 400, 'ERR_FORMAT', /the body: is 0 bytes long/],
    ['a content type of something else', Buffer.from('{}'), 'application/json', 415, 'FST_ERR_CTP_INVALID_MEDIA_TYPE', /Unsupported Media Type/],
    ['more bytes than allowed', Buffer.alloc(17 << 20), 'application/octet-stream', 413, 'FST_ERR_CTP_BODY_TOO_LARGE', /too large/],
  ];
  for (const [what, body, type, status, code, message] of bad) {
    test(`${what} is a ${status}`, async () => {
      const response = await post(server.url, body, { type });
      assert.equal(response.status, status);
      const { error } = await response.json();
      assert.equal(error.code, code);
      assert.match(error.message, message);
    });
  }

  test('a recording of another rate is resampled to the voice’s', async () => {
    const { sampleRate, channels } = await audio.readWav(speech);
    const twice = audio.resample(audio.toMono(channels), sampleRate, 2 * sampleRate);
    const folder = await mkdtemp(path.join(tmpdir(), 'weightnorm-server-'));
    const file = path.join(folder, 'twice.wav');
    await audio.writeWav(file, twice, 2 * sampleRate);
    const [same, resampled] = [await post(server.url, readFileSync(speech)), await post(server.url, readFileSync(file))];
    await rm(folder, { recursive: true });
    assert.equal(resampled.status, 200);
    assert.equal((await resampled.arrayBuffer()).byteLength, (await same.arrayBuffer()).byteLength);
  });

  test('recordings that claim to last for hours, spectrograms of another shape, of too much speech, and not finite are refused', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'weightnorm-server-'));
    const file = path.join(folder, 'slow.wav');
    // At the voice's rate it would be 2 GB.
    await audio.writeWav(file, new Float32Array(2_000_000), 63);
    const answers = [
      [await post(server.url, readFileSync(file)), 413, /31746\.0 s of speech; at most 60 s/],
      [
        await post(server.url, await npyOf(new Float32Array(40), [4, 10]), { type: 'application/x-npy' }),
        400,
        /has shape \[4, 10\]; this voice takes \[80, frames\]/,
      ],
      [await post(server.url, (await longMel(61)).body, { type: 'application/x-npy' }), 413, /61\.0 s of speech; at most 60 s/],
      [await post(server.url, await npyOf(new Float32Array(80).fill(Number.NaN), [80, 1]), { type: 'application/x-npy' }), 400, /not finite/],
    ];
    await rm(folder, { recursive: true });
    for (const [response, status, message] of answers) {
      assert.equal(response.status, status);
      assert.match((await response.json()).error.message, message);
    }
  });

  test('an unknown path is a 404, in the same form', async () => {
    const response = await fetch(`${server.url}/speak`);
    assert.equal(response.status, 404);
    assert.match((await response.json()).error.message, /there is no GET \/speak/);
  });

  test('/healthz and /metrics say what goes on', async () => {
    const { status, sampleRate, waiting, active } = await health(server);
    assert.deepEqual({ status, sampleRate, waiting, active }, { status: 'ok', sampleRate: 16000, waiting: 0, active: 0 });
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    assert.match(metrics, /^weightnorm_requests_total\{status="200"\} \d+$/m);
    assert.match(metrics, /^weightnorm_requests_total\{status="415"\} 1$/m);
    assert.match(metrics, /^weightnorm_first_audio_seconds_bucket\{le="0\.1"\} \d+$/m);
    assert.match(metrics, /^weightnorm_audio_seconds_total \d+/m);
    assert.match(metrics, /^weightnorm_queue_active 0$/m);
    assert.match(metrics, /^weightnorm_device_live_bytes \d{6,}/m);
    assert.match(metrics, /^nodejs_eventloop_lag_p99_seconds/m);
  });
});

describe('a server with one place and one chair', () => {
  let server;
  let long;
  before(async () => {
    server = await startServer(settingsWith({ CONCURRENCY: '1', QUEUE_LIMIT: '1', CHUNK_FRAMES: '8' }));
    long = await longMel(55);
  });
  after(() => server.stop());
  const send = (options) => post(server.url, long.body, { type: 'application/x-npy', ...options });

  test('the third caller is told when to come back; the second is served', async () => {
    const one = new AbortController();
    const first = await send({ signal: one.signal });
    const second = send();
    await until(async () => (await health(server)).waiting === 1, 'the second to wait');
    const third = await send();
    assert.equal(third.status, 429);
    assert.ok(Number(third.headers.get('retry-after')) >= 1);
    assert.equal((await third.json()).error.code, 'ERR_BUSY');
    one.abort();
    await first.body.cancel().catch(() => {});
    const response = await second;
    assert.equal(response.status, 200);
    assert.deepEqual(samplesOf(await bytesOf(response)), await expected(long.mel));
  });

  test('callers that go, while waiting or while listening, leave nothing', async () => {
    const before = server.engine.device.memory().tensors;
    for (let i = 0; i < 5; i++) {
      const [one, two] = [new AbortController(), new AbortController()];
      const first = await send({ signal: one.signal });
      const second = send({ signal: two.signal }).catch(() => {});
      await until(async () => (await health(server)).waiting === 1, 'the second to wait');
      two.abort();
      await second;
      await until(async () => (await health(server)).waiting === 0, 'the second to be forgotten');
      one.abort();
      await first.body.cancel().catch(() => {});
      await until(async () => (await health(server)).active === 0, 'the first to be forgotten');
    }
    await until(() => server.engine.device.memory().tensors <= before, 'tensors to be freed');
    assert.match(await (await fetch(`${server.url}/metrics`)).text(), /^weightnorm_requests_total\{status="499"\} \d+$/m);
  });

  test('a caller that reads slowly holds the synthesis back, and is cut off in time', async () => {
    const slow = await startServer(settingsWith({ REQUEST_TIMEOUT_MS: '1500', CONCURRENCY: '1' }));
    const response = await post(slow.url, (await longMel(60)).body, { type: 'application/x-npy' });
    await new Promise((resolve) => setTimeout(resolve, 2000));
    await until(async () => (await health(slow)).active === 0, 'its place to be free');
    await slow.stop();
    await response.body.cancel().catch(() => {});
  });

  test('who waits too long is told so', async () => {
    const brief = await startServer(settingsWith({ REQUEST_TIMEOUT_MS: '250', CONCURRENCY: '1' }));
    const answers = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const response = await post(brief.url, long.body, { type: 'application/x-npy' });
        const whole = await bytesOf(response).then(
          (bytes) => bytes,
          () => null,
        );
        return { status: response.status, body: whole };
      }),
    );
    await brief.stop();
    const late = answers.filter(({ status }) => status === 504);
    // Who came a little later than the one before may begin when that one's time is over.
    assert.ok(late.length >= 1, JSON.stringify(answers.map(({ status }) => status)));
    assert.equal(JSON.parse(late[0].body).error.code, 'ERR_TIMEOUT');
    // What had begun to sound breaks off: its length says so.
    for (const { status, body } of answers) if (status === 200) assert.equal(body, null);
  });
});

test('SIGTERM: what runs is finished, /healthz says so, then the process ends', async () => {
  const { child, exit, output } = await startProcess('main.js', {}, /listening at (\S+),/);
  const url = /listening at (\S+),/.exec(output())[1];
  const { body, mel } = await longMel(20);
  const response = await post(url, body, { type: 'application/x-npy' });
  child.kill('SIGTERM');
  const bytes = await bytesOf(response);
  const spoken = performance.now();
  assert.equal(await exit, 0);
  assert.ok(performance.now() - spoken < 10_000, 'the server waited for its time-out');
  assert.deepEqual(samplesOf(bytes), await expected(mel));
  await assert.rejects(fetch(`${url}/healthz`));
});

test('a setting that makes no sense ends the start with its name', async () => {
  assert.throws(() => settingsWith({ QUEUE_LIMIT: 'many' }), /QUEUE_LIMIT is "many"; it must be an integer of at least 0/);
  assert.throws(() => settingsWith({ DEVICE: 'tpu' }), /DEVICE is "tpu"; it must be metal or cpu/);
});

test('a checkpoint of torch as the voice', async () => {
  const golden = path.join(voiceFolder, '..', '..', 'test', 'golden', 'torch');
  const server = await startServer(settingsWith({ VOICE: path.join(golden, 'vocoder') }));
  const { mel, samples } = JSON.parse(readFileSync(path.join(golden, 'vocoder.json'), 'utf8'));
  const spoken = samplesOf(await bytesOf(await post(server.url, await npyOf(Float32Array.from(mel.values), [4, 6]), { type: 'application/x-npy' })));
  await server.stop();
  assert.equal(spoken.length, samples.values.length);
  spoken.forEach((value, i) => assert.ok(Math.abs(value - samples.values[i] * 32768) <= 0.51));
});
