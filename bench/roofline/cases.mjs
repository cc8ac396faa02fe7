// What is counted: one call of each kind of operation, and a forward of each model.

/** [name, what is called, dispatches it may take]. `make.randn(...shape)` gives operands. */
export function opCases({ functional: f, nn }) {
  const layer =
    (Kind, ...args) =>
    (make) => {
      const module = new Kind(...args.slice(0, -1), { ...args.at(-1), device: make.device });
      return { module, run: (x) => module.forward(x) };
    };
  const apply = (shapes, run) => (make) => {
    const operands = shapes.map((shape) => make.randn(...shape));
    return () => run(...operands);
  };
  const forward = (build, shape) => (make) => {
    const { run } = build(make);
    const x = make.randn(...shape);
    return () => run(x);
  };
  return [
    [
      'weightNorm 64×192, rows',
      apply(
        [
          [64, 192],
          [64, 1],
        ],
        (v, g) => f.weightNorm(v, g),
      ),
      1,
    ],
    [
      'weightNorm 32×16×7, rows',
      apply(
        [
          [32, 16, 7],
          [32, 1, 1],
        ],
        (v, g) => f.weightNorm(v, g),
      ),
      1,
    ],
    [
      'weightNorm 16×8192, long rows',
      apply(
        [
          [16, 8192],
          [16, 1],
        ],
        (v, g) => f.weightNorm(v, g),
      ),
      2,
    ],
    [
      'weightNorm 64×192, columns',
      apply(
        [
          [64, 192],
          [1, 192],
        ],
        (v, g) => f.weightNorm(v, g, { dim: 1 }),
      ),
      2,
    ],
    [
      'weightNorm 64×192, whole',
      apply(
        [
          [64, 192],
          [1, 1],
        ],
        (v, g) => f.weightNorm(v, g, { dim: null }),
      ),
      3,
    ],
    [
      'weightNormBackward 64×192, rows',
      apply(
        [
          [64, 192],
          [64, 192],
          [64, 1],
        ],
        (w, v, g) => Object.values(f.weightNormBackward(w, v, g)),
      ),
      1,
    ],
    ['norm 64×192, rows', apply([[64, 192]], (v) => f.norm(v)), 1],
    ['Conv1d 32→32 k3 on 128, live', forward(layer(nn.WeightNormConv1d, 32, 32, 3, { padding: 1 }), [1, 32, 128]), 1],
    ['Conv1d 32→32 k3 on 128, folded', forward(layer(nn.Conv1d, 32, 32, 3, { padding: 1 }), [1, 32, 128]), 1],
    ['Conv1d 32→32 k7 on 128, groups 32', forward(layer(nn.WeightNormConv1d, 32, 32, 7, { padding: 3, groups: 32 }), [1, 32, 128]), 1],
    ['Conv1d 32→64 k4 on 128, stride 2', forward(layer(nn.WeightNormConv1d, 32, 64, 4, { padding: 1, stride: 2 }), [1, 32, 128]), 1],
    ['ConvTranspose1d 32→16 k8 on 32, stride 4', forward(layer(nn.WeightNormConvTranspose1d, 32, 16, 8, { padding: 2, stride: 4 }), [1, 32, 32]), 1],
    ['Conv2d 16→16 k3×3 on 16×16', forward(layer(nn.WeightNormConv2d, 16, 16, 3, { padding: 1 }), [1, 16, 16, 16]), 1],
    ['Linear 64→64, 16 rows', forward(layer(nn.WeightNormLinear, 64, 64, {}), [16, 64]), 1],
    [
      'matmul 32×64×32',
      apply(
        [
          [32, 64],
          [64, 32],
        ],
        (a, b) => f.matmul(a, b),
      ),
      1,
    ],
    ['leakyRelu 64×256', apply([[64, 256]], (x) => f.leakyRelu(x)), 1],
    ['snake 1×64×256', apply([[1, 64, 256], [64]], (x, alpha) => f.snake(x, alpha)), 1],
    [
      'add 64×256',
      apply(
        [
          [64, 256],
          [64, 256],
        ],
        (a, b) => f.add(a, b),
      ),
      1,
    ],
    ['transpose 64×256', apply([[64, 256]], (x) => x.transpose()), 1],
    ['sum 64×256 over rows', apply([[64, 256]], (x) => f.sum(x, 1)), 1],
  ];
}

/** Models by name: how one is made on a device, and the frames its forward is counted on. */
export function modelCases({ audio }, configs, voice) {
  const random = (config) => (device) => new audio.HifiGan(config, { device });
  return [
    { name: 'tiny', make: random(configs.tiny), frames: 4, smallest: true },
    { name: 'bundled voice', make: (device) => audio.HifiGan.load(voice, { device }), frames: 4 },
    { name: 'HiFi-GAN V1', make: random(configs.V1), frames: 2 },
    { name: 'HiFi-GAN V3', make: random(configs.V3), frames: 2 },
  ];
}
