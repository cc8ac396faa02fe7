import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { createRequire } from 'node:module';
import { test } from 'node:test';

const { EngineClient } = createRequire(import.meta.url)('../dist/main/engine-client.js');

/** Processes that answer only when told. */
function start() {
  const processes = [];
  const client = new EngineClient(() => {
    const process = Object.assign(new EventEmitter(), { sent: [], postMessage: (message) => process.sent.push(message), kill: () => true });
    processes.push(process);
    return process;
  });
  return { client, processes };
}

test('answers find their requests in any order, progress goes to its listener', async () => {
  const { client, processes } = start();
  const parts = [];
  client.onProgress = (part) => parts.push(part);
  const [first, second] = [client.request('devices', null), client.request('sample', null)];
  const [engine] = processes;
  const [a, b] = engine.sent;
  engine.emit('message', { progress: 0.5 });
  engine.emit('message', { id: b.id, outcome: { ok: true, value: 'second' } });
  engine.emit('message', { id: a.id, outcome: { ok: true, value: 'first' } });
  assert.deepEqual(await Promise.all([first, second]), [
    { ok: true, value: 'first' },
    { ok: true, value: 'second' },
  ]);
  assert.deepEqual([processes.length, parts], [1, [0.5]]);
});

for (const events of [
  [['exit', 5]],
  [['error', new Error('cannot start')]],
  [
    ['error', 'FatalError'],
    ['exit', 6],
  ],
]) {
  test(`a process that ends with ${events.map(([name]) => name).join(' and ')} answers what waits once, and the next request starts another`, async () => {
    const { client, processes } = start();
    const waiting = client.request('sample', null);
    for (const [event, detail] of events.slice(0, 1)) processes[0].emit(event, detail);
    const outcome = await waiting;
    assert.equal(outcome.code, 'ERR_ENGINE');
    assert.match(outcome.message, /code 5|cannot start|FatalError/);
    const next = client.request('devices', null);
    // What the old process still says is not about the new one.
    for (const [event, detail] of events.slice(1)) processes[0].emit(event, detail);
    processes[1].emit('message', { id: processes[1].sent[0].id, outcome: { ok: true, value: [] } });
    assert.deepEqual(await next, { ok: true, value: [] });
  });
}
