/** Uses much of the library, gives everything back and ends: what is still allocated by the add-on then was lost. */
const path = require('node:path');
const { Worker, isMainThread } = require('node:worker_threads');
const W = require(path.resolve(__dirname, '..', '..', 'dist', 'index.js'));
const { Device, functional: F, nn, scope } = W;

async function use(device) {
  const x = device.randn([2, 6, 40], { seed: 1 });
  const layer = new nn.WeightNormConv1d(6, 4, 5, { device, padding: 2, seed: 2 });
  const up = new nn.WeightNormConvTranspose1d(4, 3, 8, { device, stride: 4, seed: 3 });
  for (let i = 0; i < 3; i++) {
    const y = scope(() => F.tanh(up.forward(F.leakyRelu(layer.forward(x), 0.1))));
    await y.read();
    layer.weight_g.write([1, 2, 3, i]);
    y.dispose();
  }
  for (const dtype of ['float16', 'bfloat16']) {
    const half = x.to(dtype);
    const [n, t] = [F.norm(half), half.transpose()];
    await Promise.all([n.read(), t.readRaw()]);
    for (const tensor of [half, n, t]) tensor.dispose();
  }
  for (const refused of [() => F.linear(x, x), () => device.zeros([0]), () => F.narrow(x, 0, 5, 9), () => device.zeros([2 ** 20, 2 ** 20, 2 ** 12])]) {
    try {
      refused();
    } catch (error) {
      if (!(error instanceof W.WeightNormError)) throw error;
    }
  }
  F.add(x, 1)
    .read()
    .catch(() => {});
  nn.foldWeightNorm(layer);
  layer.dispose();
  up.dispose();
  x.dispose();
  await device.synchronize();
  device.trim();
}

(async () => {
  for (const { type } of Device.list()) await use(Device.get(type));
  if (isMainThread) await Promise.all([1, 2].map(() => new Promise((resolve, reject) => new Worker(__filename).on('exit', resolve).on('error', reject))));
  if (isMainThread) console.log('used and given back');
})();
