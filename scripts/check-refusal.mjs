// `npm run check:refusal`, for a machine whose build has Metal and whose GPU it must not use (a virtual one, or one before the
// Apple7 family): Metal is refused everywhere with one clear reason, and the CPU serves in its place.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { ensureBuilt } from './ensure-built.mjs';
import { root } from './run.mjs';

if (!process.env.WEIGHTNORM_ADDON) await ensureBuilt();
const { audio, Device, functional, WeightNormError } = await import('weightnorm');
let passed = 0;
const check = async (name, body) => {
  try {
    await body();
    passed++;
  } catch (error) {
    console.error(`FAILED ${name}: ${error.message}`);
    console.log(`refusal: ${passed} passed, 1 failed`);
    process.exit(1);
  }
};

await check('Metal is not listed', () =>
  assert.deepEqual(
    Device.list().map(({ type }) => type),
    ['cpu'],
    'Metal is usable here: run the whole suite on it instead',
  ),
);
const report = JSON.parse(execFileSync(process.execPath, ['dist/cli/main.js', 'doctor', '--json'], { cwd: root, encoding: 'utf8' }));
const metal = report.devices.find(({ type }) => type === 'metal');
await check('the build has Metal', () => assert.equal(report.machine.build.metal, true));
await check('the doctor finds its device not usable', () => assert.equal(metal?.available, false));
await check('and says what is missing', () => assert.match(metal.reason, /virtual machine|Apple7|Metal 3/));
await check('asking for Metal is refused with that reason and what to do', () => {
  const refused = (error) => error instanceof WeightNormError && error.code === 'ERR_DEVICE_UNAVAILABLE' && error.message.includes(metal.reason);
  assert.throws(() => Device.get('metal'), refused);
  assert.throws(() => Device.get('metal'), /use Device\.get\('cpu'\)/);
});
await check('the default is the CPU, with that reason', () => {
  const { type, reason } = Device.default().info;
  assert.deepEqual({ type, reason }, { type: 'cpu', reason: metal.reason });
});
await check('the CPU computes', async () => {
  const device = Device.default();
  assert.deepEqual([...(await functional.weightNorm(device.tensor([[3, 4]]), device.tensor([[10]])).read())], [6, 8]);
});
await check('and speaks', async () => {
  const voice = await audio.HifiGan.load(`${root}/examples/voice`);
  const { channels } = await audio.readWav(`${root}/examples/voice/sample-1.wav`);
  const samples = await voice.synthesize(audio.melSpectrogram(channels[0].subarray(0, 16_384), voice.melConfig));
  assert.ok(samples.some((sample) => Math.abs(sample) > 0.01));
});
console.log(`reason: ${metal.reason}`);
console.log(`refusal: ${passed} passed, 0 failed`);
