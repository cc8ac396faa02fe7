// A pool of 8 workers; half are terminated while they compute, the others and the main thread have to stay right.
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');

function compute({ Device, functional }, seed) {
  const device = Device.get('cpu');
  const y = functional.conv1d(device.randn([1, 32, 4000], { seed }), device.randn([32, 32, 7], { seed: seed + 1 }), null, { padding: 3 });
  return functional.mean(y).read();
}

async function main() {
  const library = require('weightnorm');
  const expected = [];
  for (let seed = 0; seed < 8; seed++) expected.push((await compute(library, seed))[0]);
  const workers = Array.from({ length: 8 }, (_, seed) => new Worker(__filename, { workerData: { seed } }));
  const results = workers.map((worker, seed) => {
    let rounds = 0;
    return new Promise((resolve, reject) => {
      worker.on('error', reject);
      worker.on('message', (value) => {
        if (value !== expected[seed]) reject(new Error(`worker ${seed} gave ${value} in place of ${expected[seed]}`));
        if (++rounds === (seed % 2 ? 2 : 10)) resolve(worker.terminate());
      });
      worker.on('exit', () => rounds > 0 || reject(new Error(`worker ${seed} ended early`)));
    });
  });
  await Promise.all(results);
  if ((await compute(library, 0))[0] !== expected[0]) throw new Error('the main thread gives other values after its workers have gone');
  console.log('8 workers');
}

async function work() {
  const library = require('weightnorm');
  for (;;) {
    const [value] = await compute(library, workerData.seed);
    parentPort.postMessage(value);
    // Something is always under way when terminate() comes.
    void compute(library, workerData.seed);
  }
}

if (isMainThread) main();
else work();
