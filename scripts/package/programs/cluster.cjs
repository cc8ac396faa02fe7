// Processes of a cluster, as servers start them: each loads the package and answers the same bits.
const cluster = require('node:cluster');

if (cluster.isPrimary) {
  const values = [];
  let ended = 0;
  for (let i = 0; i < 3; i++) {
    const worker = cluster.fork();
    worker.on('message', (value) => {
      values.push(value);
      worker.disconnect();
    });
    worker.on('exit', (code) => {
      if (code !== 0) throw new Error(`a process of the cluster ended with ${code}`);
      if (++ended === 3) {
        if (values.length !== 3 || new Set(values).size !== 1) throw new Error(`the processes disagree: ${values}`);
        console.log('3 processes');
      }
    });
  }
} else {
  const { Device, functional } = require('weightnorm');
  const device = Device.get('cpu');
  const v = device.randn([64, 32, 3], { seed: 7 });
  functional
    .sum(functional.weightNorm(v, functional.norm(v, 0)))
    .read()
    .then(([sum]) => process.send(sum));
}
