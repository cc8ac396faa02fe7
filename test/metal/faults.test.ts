import path from 'node:path';
import { Device, functional as F, nn } from 'weightnorm';
import { runNode } from '../support/child';
import { controlFile } from '../support/softmetal';

/** What test/softmetal/node/control.cc offers: faults, counters and rules broken, in this process. */
interface Control {
  set(name: string, value: number): void;
  reset(): void;
  loseDevice(code: number): void;
  counters(): string;
  resetCounters(): void;
  takeViolations(): string;
  violationCount(): number;
}
const control: Control = require(controlFile);
const device = Device.get('metal');

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'resolved',
    (error) => error.code,
  );

afterEach(async () => {
  control.reset();
  await device.synchronize().catch(() => {});
  // The device goes on working after every fault, and the backend broke no rule of Metal.
  expect([...(await F.add(device.tensor([1, 2]), 1).read())]).toEqual([2, 3]);
  expect(control.takeViolations()).toBe('');
});

test.each([
  [1, 'ERR_EXECUTION', 'an internal error'],
  [2, 'ERR_EXECUTION', 'a time-out'],
  [3, 'ERR_EXECUTION', 'a page fault'],
  [8, 'ERR_MEMORY', 'memory that ran out'],
  [9, 'ERR_EXECUTION', 'an invalid resource'],
])('a command buffer that ends with code %i rejects what depends on it with %s (%s); later work runs', async (code, expected) => {
  const x = device.tensor([1, 2, 3]);
  await x.read();
  control.set('fail_commit_code', code);
  control.set('fail_commit', 1);
  const lost = F.mul(x, 2);
  expect(await codeOf(lost.read())).toBe(expected);
  expect(await codeOf(F.add(lost, 1).read())).toBe(expected);
  expect([...(await x.read())]).toEqual([1, 2, 3]);
  lost.write([7, 8, 9]);
  expect([...(await F.add(lost, 1).read())]).toEqual([8, 9, 10]);
});

test('synchronize reports the first failure that no read reported, once', async () => {
  const x = device.tensor([1]);
  await x.read();
  control.set('fail_commit_code', 3);
  control.set('fail_commit', 1);
  F.mul(x, 2);
  expect(await codeOf(device.synchronize())).toBe('ERR_EXECUTION');
  expect(await codeOf(device.synchronize())).toBe('resolved');
});

test('no memory for a buffer is ERR_MEMORY', async () => {
  control.set('memory_limit', 1);
  expect(await codeOf(device.zeros([300, 1000]).read())).toBe('ERR_MEMORY');
});

test('a kernel that does not compile is ERR_EXECUTION, and compiles when asked again', async () => {
  const x = device.randn([1, 3, 11], { seed: 1 });
  await x.read();
  control.set('fail_pipeline', 1);
  expect(await codeOf(F.interpolate(x, 5).read())).toBe('ERR_EXECUTION');
  control.reset();
  expect((await F.interpolate(x, 5).read()).length).toBe(165);
});

test('scales that failed to compute are computed again by the next forward', async () => {
  const layer = new nn.WeightNormLinear(6, 4, { device });
  const x = device.ones([2, 6]);
  await Promise.all([x.read(), layer.forward(x).read()]);
  layer.weight_g?.write([1, 2, 3, 4]);
  await device.synchronize();
  control.set('fail_commit_code', 3);
  control.set('fail_commit', 1);
  // The second finds scales of which no failure is known yet.
  for (const lost of [layer.forward(x), layer.forward(x)]) expect(await codeOf(lost.read())).toBe('ERR_EXECUTION');
  const expected = await F.linear(x, F.weightNorm(layer.weight_v as never, layer.weight_g as never), layer.bias).read();
  (await layer.forward(x).read()).forEach((y, i) => {
    expect(y).toBeCloseTo(expected[i] as number, 5);
  });
});

test.each([
  ['shuffle_completion', 1],
  ['completion_delay', 3],
  ['handlers_after_wait', 1],
])('%s: results and their order do not depend on when handlers run', async (setting, value) => {
  control.set(setting, value);
  let x = device.ones([4, 4]);
  const reads: Promise<Float32Array>[] = [];
  for (let i = 0; i < 60; i++) {
    x = F.add(x, 1);
    if (i % 7 === 0) reads.push(x.read());
  }
  const results = await Promise.all(reads);
  expect(results.map((r) => r[0])).toEqual(results.map((_r, i) => 2 + 7 * i));
});

test('a convolution is one dispatch, a forward one submission', async () => {
  const conv = new nn.WeightNormConv1d(16, 16, 3, { device, padding: 1 });
  const x = device.randn([1, 16, 40], { seed: 1 });
  await conv.forward(x).read();
  control.resetCounters();
  await conv.forward(x).read();
  expect(JSON.parse(control.counters())).toMatchObject({ dispatches: 1, commandBuffers: 1 });
});

describe('a process of its own', () => {
  const run = async (script: string, env: Record<string, string>): Promise<string> => {
    const outcome = await runNode(script, env);
    expect(outcome).toMatchObject({ code: 0, signal: null });
    return outcome.stdout.trim();
  };
  const why = 'console.log(W.Device.default().info.type, W.Device.default().info.reason); try { W.Device.get("metal"); } catch (e) { console.log(e.code); }';

  test.each([
    ['no GPU', { SOFTMETAL_NO_DEVICE: '1' }],
    ['an older GPU', { SOFTMETAL_FAMILY: '5' }],
    ['a paravirtual GPU', { SOFTMETAL_FAMILY: '0' }],
  ])('%s: the CPU is the default, and says why', async (_name, env) => {
    const [first, code] = (await run(why, env as unknown as Record<string, string>)).split('\n');
    expect(first).toMatch(/^cpu .{20,}/);
    expect(code).toBe('ERR_DEVICE_UNAVAILABLE');
  });

  test('a device that was removed is ERR_DEVICE_LOST for all further work; the CPU still serves', async () => {
    const out = await run(
      `const device = W.Device.get('metal'); const F = W.functional;
       const x = device.tensor([1, 2]); await x.read();
       const control = require(${JSON.stringify(controlFile)});
       control.loseDevice(11);
       for (let i = 0; i < 3; i++) await F.add(x, i).read().then(() => console.log('read'), (e) => console.log(e.code));
       console.log((await F.add(W.Device.get('cpu').tensor([1]), 1).read())[0]);`,
      {},
    );
    expect(out.split('\n')).toEqual(['ERR_DEVICE_LOST', 'ERR_DEVICE_LOST', 'ERR_DEVICE_LOST', '2']);
  });

  test('the doctor finds every kernel in agreement with the CPU, with and without MPS', async () => {
    const { execFileSync } = await import('node:child_process');
    const main = path.resolve(__dirname, '..', '..', 'dist', 'cli', 'main.js');
    const report = JSON.parse(execFileSync(process.execPath, [main, 'doctor', '--json'], { encoding: 'utf8', maxBuffer: 2 ** 26 }));
    expect(report.failed).toBe(0);
    expect(report.passed).toBeGreaterThan(600);
    expect(report.checks.filter((check: { mps: boolean }) => !check.mps).length).toBeGreaterThan(10);
    // Kernels for rows too long for a simulated device; the native kernel tests reach them.
    expect(report.notRun.filter((kernel: string) => !/_loop_/.test(kernel))).toEqual([]);
  }, 300_000);

  test('one second of speech on the simulated device equals the CPU’s', async () => {
    const out = await run(
      `const { channels } = await W.audio.readWav('examples/voice/sample-1.wav');
       const cut = channels[0].subarray(8000, 8000 + 15872);
       const outputs = [];
       for (const type of ['cpu', 'metal']) {
         const voice = await W.audio.HifiGan.load('examples/voice', { device: W.Device.get(type) });
         outputs.push(await voice.synthesize(W.audio.melSpectrogram(cut, voice.config)));
       }
       console.log(outputs[0].length, Math.max(...outputs[0].map((y, i) => Math.abs(y - outputs[1][i]))) < 2e-5);`,
      {},
    );
    expect(out).toBe('15872 true');
  }, 300_000);
});
