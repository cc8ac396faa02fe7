import { functional as F, nn, scope, type Tensor } from 'weightnorm';
import { devices } from '../support/devices';
import { expectError } from '../support/errors';
import { values } from '../support/random';

describe.each(devices)('Module on %s', (_, device) => {
  const make = (seed: number): Tensor => device.tensor(values(4, seed));

  /** Brings the scales of every layer that earlier tests left alive up to date, so that tensors can be counted. */
  function settle(): void {
    const layer = new nn.WeightNormLinear(1, 1, { device });
    scope(() => void layer.forward(device.ones([1, 1])));
    layer.dispose();
  }

  class Tree extends nn.Module {
    own = make(1);
    list = [make(2), make(3)];
    nested = [[new nn.Linear(2, 2, { device })], [new nn.ReLU(), null]];
    map = new Map<string, Tensor | nn.Module>([
      ['x', make(4)],
      ['y', new nn.Linear(2, 3, { device, bias: false })],
    ]);
    numbers = new Float32Array(3);
    config = { tensor: make(5) };
    readonly #state = make(6);
    get state(): Tensor {
      return this.#state;
    }
  }

  test('parameters and modules are found in fields, arrays and Maps, named with dots', () => {
    const tree = new Tree();
    expect([...tree.namedParameters().keys()]).toEqual(['own', 'list.0', 'list.1', 'map.x', 'nested.0.0.weight', 'nested.0.0.bias', 'map.y.weight']);
    expect([...tree.namedModules().keys()]).toEqual(['', 'nested.0.0', 'nested.1.0', 'map.y']);
    expect(tree.namedModules().get('')).toBe(tree);
    expect(tree.namedParameters().get('list.1')).toBe(tree.list[1]);
  });

  test('a child that points back to its parent is no endless tree', () => {
    class Node extends nn.Module {
      parent: nn.Module | null = null;
      child: Node | null = null;
      weight = make(1);
      self = [] as unknown[];
    }
    const [parent, child] = [new Node(), new Node()];
    parent.child = child;
    child.parent = parent;
    child.self.push(child.self);
    expect([...parent.namedParameters().keys()]).toEqual(['weight', 'child.weight']);
    expect([...parent.namedModules().keys()]).toEqual(['', 'child']);
    scope(() => void device.ones([1]));
  });

  test('to(dtype) converts every parameter in place and returns the module', async () => {
    const tree = new Tree();
    const old = [...tree.namedParameters().values()];
    const exact = await tree.own.to('bfloat16').read();
    expect(tree.to('bfloat16')).toBe(tree);
    expect([...tree.namedParameters().values()].map((tensor) => tensor.dtype)).toEqual(old.map(() => 'bfloat16'));
    expect(old.every((tensor) => tensor.disposed)).toBe(true);
    expect(await tree.own.read()).toEqual(exact);
    expect([tree.config.tensor.dtype, tree.state.dtype]).toEqual(['float32', 'float32']);
    const again = tree.own;
    tree.to('bfloat16');
    expect(tree.own).toBe(again);
  });

  test.each(devices)('to(%s) and back keeps the values', async (_name, target) => {
    const tree = new Tree();
    const before = await tree.own.read();
    tree.to(target);
    expect([...tree.namedParameters().values()].every((tensor) => tensor.device === target)).toBe(true);
    tree.to(device);
    expect(await tree.own.read()).toEqual(before);
  });

  test('to keeps shared parameters shared', () => {
    class Tied extends nn.Module {
      a = make(1);
      b = [this.a];
    }
    const tied = new Tied();
    tied.to('float16');
    expect(tied.a.dtype).toBe('float16');
    expect(tied.b[0]).toBe(tied.a);
  });

  test('when to fails half-way nothing is lost', async () => {
    const tree = new Tree();
    tree.map.set('z', device.ones([1]));
    (tree.map.get('z') as Tensor).dispose();
    const { tensors } = device.memory();
    const before = new Map(tree.namedParameters());
    expectError(() => tree.to('float16'), 'ERR_DISPOSED', /disposed/);
    expect(new Map(tree.namedParameters())).toEqual(before);
    expect(device.memory().tensors).toBe(tensors);
    await tree.own.read();
    expectError(() => tree.to('int8' as 'float16'), 'ERR_DTYPE', /to: target is "int8"/);
    expectError(() => tree.to(5 as unknown as 'float16'), 'ERR_DEVICE', /to: target is 5; it must be a Device/);
  });

  test('a parameter that another module holds survives to, loading and folding', async () => {
    const shared = device.tensor(values(12, 1), { shape: [3, 4] });
    class Holder extends nn.Module {
      table = shared;
    }
    const holder = new Holder();
    const linear = new nn.Linear(4, 3, { device });
    linear.weight = shared;
    linear.to('float16');
    expect(holder.table.disposed).toBe(false);
    linear.to('float32');
    linear.weight = shared;
    nn.weightNorm(linear);
    nn.removeWeightNorm(linear);
    await holder.table.read();
  });

  test('dispose frees the parameters and cached scales of the tree; again does nothing', () => {
    settle();
    const { tensors } = device.memory();
    const shared = new nn.WeightNormConv1d(4, 4, 3, { device, padding: 1 });
    const net = new nn.Sequential(
      shared,
      new nn.Snake(4, { device }),
      shared,
      new nn.WeightNormConv1d(4, 4, 3, { device, dim: 1 }),
      new nn.WeightNormLinear(5, 2, { device }),
      new nn.Conv1d(4, 1, 1, { device }),
    );
    const x = device.tensor(values(28, 1), { shape: [1, 4, 7] });
    scope(() => void net.forward(x));
    net.dispose();
    net.dispose();
    x.dispose();
    expect(device.memory().tensors).toBe(tensors);
    expectError(() => net.forward(device.ones([1, 4, 7])), 'ERR_DISPOSED', /(weight_v|weight_g|alpha) was disposed/);
    expect([...net.namedParameters().values()].every((tensor) => tensor.disposed)).toBe(true);
  });

  test('layers in layout mlx are disposed with what they cached', () => {
    settle();
    const { tensors } = device.memory();
    for (const Layer of [nn.Conv1d, nn.WeightNormConv1d]) {
      const conv = new Layer(4, 3, 3, { device, layout: 'mlx' });
      scope(() => void conv.forward(device.ones([1, 5, 4])));
      conv.dispose();
    }
    expect(device.memory().tensors).toBe(tensors);
  });

  test('loading, converting and folding leave no tensors behind, and drop what was cached at once', () => {
    const layers = (o: { layout?: nn.Layout; dim?: number }): nn.Sequential =>
      new nn.Sequential(
        new nn.WeightNormConv1d(4, 4, 3, { device, padding: 1, ...o }),
        new nn.WeightNormConvTranspose1d(4, 4, 3, { device, padding: 1, ...o }),
      );
    for (const o of [{}, { dim: 1 }, { layout: 'mlx' }, { layout: 'mlx', dim: 1 }] as const) {
      const x = device.ones([1, 4, 4]);
      const states = (['weight_g', 'folded'] as const).flatMap((naming) =>
        (['torch', 'mlx'] as const).map((layout) => [layout, layers(o).stateDict({ naming, layout })] as const),
      );
      settle();
      const net = layers(o);
      const { tensors } = device.memory();
      for (const [layout, state] of states) {
        scope(() => void net.forward(x));
        expect((net.at(0) as nn.Conv1d).weight.disposed).toBe(false);
        net.loadStateDict(state, { layout });
        expect(device.memory().tensors).toBe(tensors);
      }
      for (const dtype of ['float16', 'float32'] as const) {
        scope(() => void net.forward(dtype === 'float16' ? x : x.to('float16')));
        net.to(dtype);
        expect(device.memory().tensors).toBe(tensors);
      }
      scope(() => void net.forward(x));
      nn.foldWeightNorm(net);
      // One weight in the place of g and v.
      expect(device.memory().tensors).toBe(tensors - 2);
    }
  });

  test('loading one tensor under two names leaves none behind', () => {
    class Tied extends nn.Module {
      a = make(1);
      b = [this.a];
    }
    const tied = new Tied();
    const state = new Tied().stateDict();
    const { tensors } = device.memory();
    tied.loadStateDict(state);
    expect(device.memory().tensors).toBe(tensors);
  });

  test('scope never disposes parameters, wherever a module holds them', async () => {
    const tree = scope(() => {
      const inner = new Tree();
      return { name: 'tree', inner };
    }).inner;
    for (const tensor of tree.namedParameters().values()) await tensor.read();
    let kept: Tree | undefined;
    scope(() => {
      kept = new Tree();
      device.ones([3]);
    });
    for (const tensor of (kept as Tree).namedParameters().values()) await tensor.read();
  });

  test('scope leaves nothing of a forward but its result', async () => {
    const net = new nn.Sequential(new nn.WeightNormConv1d(4, 4, 3, { device }), new nn.ReLU(), new nn.Tanh(), new nn.WeightNormConv1d(4, 2, 3, { device }));
    const x = device.tensor(values(40, 1), { shape: [1, 4, 10] });
    scope(() => void net.forward(x));
    const { tensors } = device.memory();
    const y = scope(() => F.mul(net.forward(x), 2));
    expect(device.memory().tensors).toBe(tensors + 1);
    await y.read();
  });

  test('a module made inside a scope keeps parameters made by its layers', async () => {
    const layer = scope(() => new nn.WeightNormLinear(3, 2, { device }));
    await layer.forward(device.ones([1, 3])).read();
  });

  test('a module without forward says so', () => {
    expectError(() => new Tree().forward(make(1)), 'ERR_STATE', /Tree has no forward/);
  });
});
