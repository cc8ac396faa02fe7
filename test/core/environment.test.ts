import { packageEntry, runNode } from '../support/child';
import { devices } from '../support/devices';

const types = devices.map(([label, device]) => [label, device.info.type] as const);
const metal = types.some(([, type]) => type === 'metal');

/** Runs `script` and expects it to end by itself with status 0. */
async function succeeds(script: string, env: Record<string, string> = {}, args: string[] = []): Promise<string> {
  const outcome = await runNode(script, env, args);
  expect(outcome).toMatchObject({ code: 0, signal: null });
  return outcome.stdout.trim();
}

describe.each(types)('a process that uses %s', (_label, type) => {
  const get = `const device = W.Device.get(${JSON.stringify(type)});`;

  test('ends by itself with work queued and reads unread', async () => {
    await succeeds(`${get} const x = device.ones([64, 64]); for (let i = 0; i < 20; i++) W.functional.matmul(x, x);`);
  });

  test('stays alive while a read is pending', async () => {
    expect(await succeeds(`${get} device.ones([3]).read().then((v) => console.log([...v].join()));`)).toBe('1,1,1');
  });

  test('a loop that queues without awaiting gets ERR_MEMORY at the bound, and nothing is lost', async () => {
    const out = await succeeds(
      `${get}
       const keep = []; let error;
       try { for (;;) keep.push(device.full([1024, 64], keep.length)); } catch (e) { error = e; }
       const last = await keep[keep.length - 1].read();
       console.log(error.code, keep.length > 20 && last[0] === keep.length - 1);
       keep.forEach((t) => t.dispose());
       await device.synchronize();
       console.log((await device.ones([2]).read()).join(), device.memory().liveBytes < 1e6);`,
      { WEIGHTNORM_MEMORY_LIMIT: String(2 ** 24) },
    );
    expect(out.split('\n')).toEqual(['ERR_MEMORY true', '1,1 true']);
  });

  test('the bound on queued work holds although each tensor is disposed at once', async () => {
    const out = await succeeds(
      `${get}
       const x = device.ones([512, 512]); let error; let n = 0;
       try { for (; n < 1e5; n++) W.functional.matmul(x, x).dispose(); } catch (e) { error = e; }
       await device.synchronize();
       W.functional.matmul(x, x).dispose();
       await device.synchronize();
       console.log(error.code, n < 1000, /queued/.test(error.message));`,
      { WEIGHTNORM_QUEUE_LIMIT: String(2 ** 24) },
    );
    expect(out).toBe('ERR_MEMORY true true');
  });

  test('garbage is collected under the pressure of tensors that nobody disposed', async () => {
    const out = await succeeds(
      `${get}
       for (let i = 0; i < 400; i++) { device.ones([256, 1024]); if (i % 8 === 7) { await device.synchronize(); await new Promise(setImmediate); } }
       await new Promise((r) => setTimeout(r, 50)); global.gc(); await new Promise((r) => setTimeout(r, 50));
       console.log(device.memory().peakBytes < 400 * 2 ** 20, device.memory().tensors < 50);`,
      {},
      ['--expose-gc'],
    );
    expect(out).toBe('true true');
  });

  test('four workers load the add-on at once, compute, and are ended in the middle of work', async () => {
    const worker = `
      const { parentPort, workerData } = require('node:worker_threads');
      const W = require(workerData.entry);
      const device = W.Device.get(workerData.type);
      (async () => {
        const x = device.randn([64, 64], { seed: 3 });
        const y = await W.functional.matmul(x, x).read();
        parentPort.postMessage(y[5]);
        if (workerData.linger) for (;;) { const a = W.functional.matmul(x, x); a.read().catch(() => {}); await device.synchronize(); a.dispose(); }
      })();`;
    const out = await succeeds(
      `${get}
       const { Worker } = require('node:worker_threads');
       const answers = new Set(); let ended = 0;
       const start = (linger) => new Promise((resolve, reject) => {
         const w = new Worker(${JSON.stringify(worker)}, { eval: true, workerData: { entry: ${JSON.stringify(packageEntry)}, type: ${JSON.stringify(type)}, linger } });
         w.once('message', (m) => { answers.add(m); if (linger) setTimeout(() => w.terminate(), 30); });
         w.once('error', reject); w.once('exit', () => { ended++; resolve(); });
       });
       await Promise.all([start(false), start(true), start(true), start(false)]);
       await Promise.all([start(true), start(false)]);
       const x = device.randn([64, 64], { seed: 3 });
       answers.add((await W.functional.matmul(x, x).read())[5]);
       console.log(ended, answers.size);`,
    );
    expect(out).toBe('6 1');
  });

  test('the add-on is loaded only in a worker, unloaded, and loaded again', async () => {
    const worker = `
      const { parentPort, workerData } = require('node:worker_threads');
      const W = require(workerData.entry);
      W.Device.get(workerData.type).ones([4]).read().then((v) => parentPort.postMessage(v.join()));`;
    const script = `
      const { Worker } = require('node:worker_threads');
      for (let i = 0; i < 3; i++) await new Promise((resolve, reject) => {
        const w = new Worker(${JSON.stringify(worker)}, { eval: true, workerData: { entry: ${JSON.stringify(packageEntry)}, type: ${JSON.stringify(type)} } });
        w.once('message', (m) => console.log(m)); w.once('error', reject); w.once('exit', resolve);
      });`;
    const { execFile } = await import('node:child_process');
    const out = await new Promise<string>((resolve, reject) => {
      execFile(process.execPath, ['-e', `(async () => {${script}})()`], { timeout: 60_000 }, (error, stdout) =>
        error ? reject(error) : resolve(stdout.trim()),
      );
    });
    expect(out.split('\n')).toEqual(['1,1,1,1', '1,1,1,1', '1,1,1,1']);
  });

  test('a tensor posted to a worker is a DataCloneError', async () => {
    const out = await succeeds(`${get}
      const { MessageChannel } = require('node:worker_threads');
      const { port1, port2 } = new MessageChannel();
      try { port1.postMessage(device.ones([1])); } catch (e) { console.log(e.name); }
      port1.close(); port2.close();`);
    expect(out).toBe('DataCloneError');
  });
});

describe('the choice of device', () => {
  test('WEIGHTNORM_DEVICE decides, and a bad value is refused', async () => {
    expect(await succeeds('console.log(W.Device.default().info.type)', { WEIGHTNORM_DEVICE: 'cpu' })).toBe('cpu');
    const script = 'try { W.Device.default(); console.log("made"); } catch (e) { console.log(e.code, e.message); }';
    expect(await succeeds(script, { WEIGHTNORM_DEVICE: 'gpu' })).toMatch(/^ERR_DEVICE_UNAVAILABLE WEIGHTNORM_DEVICE is "gpu"/);
    if (!metal) expect(await succeeds(script, { WEIGHTNORM_DEVICE: 'metal' })).toMatch(/^ERR_DEVICE_UNAVAILABLE there is no usable Metal device/);
  });

  test('the default says why it is not Metal', async () => {
    const out = await succeeds('const { type, reason } = W.Device.default().info; console.log(type, reason);');
    const why = process.platform === 'darwin' ? /^cpu .*(virtual machine|Apple7|Metal 3)/ : /^cpu this build has no Metal backend/;
    expect(out).toMatch(metal ? /^metal/ : why);
  });
});

describe('threads', () => {
  const script = `
    const { createHash } = require('node:crypto');
    const hash = createHash('sha256');
    const F = W.functional; const device = W.Device.get('cpu');
    const take = async (t) => hash.update(Buffer.from((await t.readRaw()).buffer));
    for (const dtype of ['float32', 'float16', 'bfloat16']) {
      for (const [shape, options] of [[[3, 300001], {}], [[70000, 9], {}], [[9, 70000], { dim: 1 }], [[65, 33, 129], { dim: 1 }], [[40, 50, 60], { axes: [0, 2] }], [[1000003], { dim: null }]]) {
        const v = device.randn(shape, { seed: 1, dtype }); const n = F.norm(v, options); const g = n.to(dtype);
        await take(n); await take(F.weightNorm(v, g, options));
        const { gradV, gradG } = F.weightNormBackward(device.randn(shape, { seed: 2, dtype }), v, g, options);
        await take(gradV); await take(gradG); await take(F.sum(v)); await take(F.mean(v, [0]));
      }
      const x = device.randn([2, 40, 1500], { seed: 3, dtype });
      for (const algorithm of ['auto', 'direct']) {
        for (const k of [3, 7, 11]) await take(F.conv1d(x, device.randn([48, 40, k], { seed: k, dtype }), device.randn([48], { seed: 9, dtype }), { padding: 'same', dilation: 3, algorithm }));
        await take(F.convTranspose1d(x, device.randn([40, 20, 16], { seed: 4, dtype }), null, { stride: 8, padding: 4, algorithm }));
      }
      await take(F.linear(device.randn([130, 500], { seed: 5, dtype }), device.randn([301, 500], { seed: 6, dtype })));
      await take(F.conv2d(device.randn([1, 20, 60, 70], { seed: 7, dtype }), device.randn([24, 20, 3, 3], { seed: 8, dtype })));
      await take(F.gelu(x)); await take(F.snake(x, device.ones([40], dtype)));
    }
    console.log(hash.digest('hex'));`;

  test('1, 2 and 7 of them give the same bits', async () => {
    const digests = [];
    for (const threads of ['1', '2', '7']) digests.push(await succeeds(script, { WEIGHTNORM_NUM_THREADS: threads }));
    expect(digests[0]).toMatch(/^[0-9a-f]{64}$/);
    expect(new Set(digests).size).toBe(1);
  });

  test.each(['0', '-2', 'many', '1.5'])('WEIGHTNORM_NUM_THREADS=%s is refused', async (value) => {
    const out = await succeeds('try { W.Device.get("cpu"); console.log("made"); } catch (e) { console.log(e.code, e.message); }', {
      WEIGHTNORM_NUM_THREADS: value,
    });
    expect(out).toMatch(/^ERR_ARGUMENT .*WEIGHTNORM_NUM_THREADS/);
  });
});

describe.each(types)('numbers from the environment on %s', (_label, type) => {
  const script = `try { await W.Device.get(${JSON.stringify(type)}).ones([2]).read(); console.log('made'); } catch (e) { console.log(e.code, e.message); }`;

  test.each(['WEIGHTNORM_MEMORY_LIMIT', 'WEIGHTNORM_QUEUE_LIMIT'])('%s takes a whole number of bytes and nothing else', async (name) => {
    for (const value of ['0', '-1', '+5', ' 5', '5 ', '1e9', '0x10', '1.5', '18446744073709551616', 'lots']) {
      expect(await succeeds(script, { [name]: value })).toBe(
        `ERR_ARGUMENT ${name} is '${value}'; a whole number of bytes from 1 to 18446744073709551615 is allowed`,
      );
    }
    for (const value of ['', '1000000', '018446744', '18446744073709551615']) expect(await succeeds(script, { [name]: value })).toBe('made');
  });
});
