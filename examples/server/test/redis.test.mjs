import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Redis } from 'ioredis';
import { audio } from 'weightnorm';
import { startServer } from '../dist/server.js';
import { expected, longMel, post, samplesOf, settingsWith, speech, startProcess, startRedis, until, voiceFolder } from './support.mjs';

const voiceConfig = JSON.parse(readFileSync(path.join(voiceFolder, 'config.json'), 'utf8'));

const bytesOf = async (response) => Buffer.from(await response.arrayBuffer());

describe('servers and workers that share a Redis', () => {
  let redis;
  let server;
  const workers = new Set();
  const env = () => ({ REDIS_URL: redis.url, STALLED_MS: '2000', CONCURRENCY: '2', QUEUE_LIMIT: '2', CHUNK_FRAMES: '8' });
  const health = async () => (await fetch(`${server.url}/healthz`)).json();
  const startWorker = async () => {
    const worker = await startProcess('worker.js', env(), /worker ready/);
    workers.add(worker);
    worker.exit.then(() => workers.delete(worker));
    return worker;
  };

  before(async () => {
    redis = await startRedis();
    server = await startServer(settingsWith(env()));
  });
  after(async () => {
    await server.stop();
    for (const { child, exit } of workers) {
      child.kill('SIGKILL');
      await exit;
    }
    await redis.stop();
  });

  test('without a worker /healthz fails', async () => {
    const response = await fetch(`${server.url}/healthz`);
    assert.equal(response.status, 503);
    assert.match((await response.json()).reason, /there is no worker/);
  });

  test('a worker synthesises, and sound comes while it is made', async () => {
    await startWorker();
    await until(async () => (await health()).status === 'ok', 'the worker to be seen');
    const { body, mel } = await longMel(20);
    const response = await post(server.url, body, { type: 'application/x-npy' });
    assert.equal(response.status, 200);
    let active = 0;
    const parts = [];
    for await (const part of response.body) {
      parts.push(part);
      if (active === 0) active = (await health()).active;
    }
    assert.ok(parts.length > 10, `${parts.length} pieces`);
    assert.equal(active, 1);
    assert.deepEqual(samplesOf(Buffer.concat(parts)), await expected(mel));
  });

  test('a recording, and the errors of a server by itself', async () => {
    const response = await post(server.url, readFileSync(speech));
    const mel = audio.melSpectrogram((await audio.readWav(speech)).channels[0], voiceConfig);
    assert.deepEqual(samplesOf(await bytesOf(response)), await expected(mel));
    assert.equal((await post(server.url, Buffer.from('hello'))).status, 400);
  });

  test('a worker that is killed: another takes over, and nobody hears it', async () => {
    const [first] = workers;
    const { body, mel } = await longMel(30);
    const response = await post(server.url, body, { type: 'application/x-npy' });
    const reader = response.body.getReader();
    const parts = [];
    let bytes = 0;
    while (bytes < 40_000) {
      const { value } = await reader.read();
      parts.push(value);
      bytes += value.length;
    }
    first.child.kill('SIGKILL');
    await first.exit;
    await startWorker();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
    }
    assert.deepEqual(samplesOf(Buffer.concat(parts)), await expected(mel));
  });

  test('callers that go end the work, and a full queue is a 429', async () => {
    const { body } = await longMel(55);
    const controllers = Array.from({ length: 4 }, () => new AbortController());
    const send = (signal) => post(server.url, body, { type: 'application/x-npy', signal });
    const running = await Promise.all(controllers.slice(0, 2).map(({ signal }) => send(signal)));
    const waiting = controllers.slice(2).map(({ signal }) => send(signal).catch(() => {}));
    await until(async () => (await health()).waiting === 2, 'two to wait');
    const late = await send();
    assert.equal(late.status, 429);
    assert.ok(Number(late.headers.get('retry-after')) >= 1);
    await late.body.cancel();
    for (const controller of controllers) controller.abort();
    await Promise.all([...running.map(({ body: sound }) => sound.cancel().catch(() => {})), ...waiting]);
    // Sooner than 55 s of speech could be made.
    await until(
      async () => {
        const { waiting: left, active } = await health();
        return left === 0 && active === 0;
      },
      'the work to end',
      5_000,
    );
  });

  test('SIGTERM: a worker finishes what it has', async () => {
    const [worker] = workers;
    const { body, mel } = await longMel(20);
    const response = await post(server.url, body, { type: 'application/x-npy' });
    worker.child.kill('SIGTERM');
    assert.deepEqual(samplesOf(await bytesOf(response)), await expected(mel));
    const spoken = performance.now();
    assert.equal(await worker.exit, 0);
    assert.ok(performance.now() - spoken < 10_000, 'the worker waited for its time-out');
  });

  test('nothing of an utterance stays in Redis', async () => {
    const client = new Redis(redis.url);
    const streams = await client.keys('*:audio:*');
    const lengths = await Promise.all(streams.map((key) => client.xlen(key)));
    assert.ok(
      lengths.every((length) => length <= 1),
      lengths.join(),
    );
    assert.deepEqual(await client.keys('bull:weightnorm:????????-*'), []);
    await client.quit();
  });

  test('without Redis callers get a 503 at once', async () => {
    await redis.stop();
    await until(async () => (await post(server.url, readFileSync(speech))).status === 503, 'a 503', 5_000);
    const response = await post(server.url, readFileSync(speech));
    assert.equal(response.status, 503);
    assert.match((await response.json()).error.message, /the queue cannot be reached/);
  });
});
