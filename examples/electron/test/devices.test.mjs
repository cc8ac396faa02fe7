// Two devices to choose from: the CPU, and the Metal backend under the repository's software Metal where that was built.
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const { audio } = require('weightnorm');
const { EngineClient } = require('../dist/main/engine-client.js');
const engineFile = fileURLToPath(new URL('../dist/engine/engine.js', import.meta.url));
const simulated = fileURLToPath(new URL('../../../build/softmetal/weightnorm.node', import.meta.url));

if (existsSync(simulated) || process.env.WEIGHTNORM_REQUIRE_METAL === '1') {
  test('the chosen device computes, and both say the same', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'weightnorm-devices-'));
    const engine = new EngineClient(() => {
      const child = fork(engineFile, [], { serialization: 'advanced', env: { ...process.env, WEIGHTNORM_ADDON: 'softmetal' } });
      child.postMessage = (message) => child.send(message);
      return child;
    });
    const value = async (kind, argument) => {
      const outcome = await engine.request(kind, argument);
      assert.equal(outcome.ok, true, outcome.message);
      return outcome.value;
    };
    try {
      const choices = await value('devices', null);
      assert.deepEqual(choices.map(({ type, unavailable }) => [type, unavailable]).sort(), [
        ['cpu', null],
        ['metal', null],
      ]);
      const voice = path.join(path.dirname(require.resolve('weightnorm/package.json')), 'examples', 'voice');
      const { channels, sampleRate } = await audio.readWav(path.join(voice, 'sample-1.wav'));
      const file = path.join(folder, 'short.wav');
      await audio.writeWav(file, channels[0].slice(16_000, 16_000 + 4096), sampleRate);
      const { id } = await value('load', { path: file });
      const metal = await value('synthesize', { recording: id, device: 'metal' });
      const cpu = await value('synthesize', { recording: id, device: 'cpu' });
      assert.deepEqual([metal.device, cpu.device, metal.samples.length], ['metal', 'cpu', cpu.samples.length]);
      assert.ok(cpu.samples.every((sample, i) => Math.abs(sample - metal.samples[i]) < 2e-5));
      assert.ok(cpu.samples.some((sample) => Math.abs(sample) > 0.01));
    } finally {
      engine.close();
      rmSync(folder, { recursive: true, force: true });
    }
  });
}
