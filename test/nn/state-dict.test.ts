import { type DType, functional as F, nn, type Tensor, WeightNormError } from 'weightnorm';
import { addon } from '../../dist/native.js';
import { relativeError } from '../support/conv-reference';
import { devices } from '../support/devices';
import { expectError } from '../support/errors';
import { values } from '../support/random';
import { perturbGains } from '../support/signal';

describe.each(devices)('state dicts on %s', (_, device) => {
  const x = device.tensor(values(2 * 4 * 9, 7), { shape: [2, 4, 9] });

  class Net extends nn.Module {
    first: nn.Conv1d;
    blocks: nn.Module[];
    gain: Tensor = device.ones([1]);
    constructor(normed = true, layout: nn.Layout = 'torch', dtype: DType = 'float32') {
      super();
      const o = { device, layout, dtype };
      const [Conv, Up] = normed ? [nn.WeightNormConv1d, nn.WeightNormConvTranspose1d] : [nn.Conv1d, nn.ConvTranspose1d];
      this.first = new Conv(4, 8, 3, { ...o, padding: 1 });
      this.blocks = [new Up(8, 6, 4, { ...o, stride: 2, padding: 1, groups: 2 }), new nn.Snake(6, { device, layout, dtype }), new Conv(6, 2, 1, o)];
    }
    override forward(input: Tensor): Tensor {
      return this.blocks.reduce((y, block) => block.forward(y), this.first.forward(input));
    }
  }

  function source(): Net {
    const net = new Net();
    perturbGains(net);
    return net;
  }

  const normedNames = [
    'first.bias',
    'first.weight_g',
    'first.weight_v',
    'blocks.0.bias',
    'blocks.0.weight_g',
    'blocks.0.weight_v',
    'blocks.1.alpha',
    'blocks.2.bias',
    'blocks.2.weight_g',
    'blocks.2.weight_v',
    'gain',
  ].sort();

  test.each([
    ['weight_g', normedNames],
    [
      'parametrizations',
      normedNames.map((name) => name.replace('weight_g', 'parametrizations.weight.original0').replace('weight_v', 'parametrizations.weight.original1')).sort(),
    ],
    ['folded', ['first.bias', 'first.weight', 'blocks.0.bias', 'blocks.0.weight', 'blocks.1.alpha', 'blocks.2.bias', 'blocks.2.weight', 'gain'].sort()],
  ] as const)('%s names and round trip into weight-normed and plain models', async (naming, names) => {
    const net = source();
    const y = await net.forward(x).read();
    const state = net.stateDict({ naming });
    expect([...state.keys()].sort()).toEqual([...names]);
    for (const normed of [true, false]) {
      const copy = new Net(normed);
      expect(copy.loadStateDict(state)).toEqual({ missing: [], unexpected: [] });
      expect(relativeError(await copy.forward(x).read(), y)).toBeLessThanOrEqual(1e-6);
    }
  });

  test('spellings may be mixed in one state', async () => {
    const net = source();
    const y = await net.forward(x).read();
    const [old, parametrized, folded] = [net.stateDict(), net.stateDict({ naming: 'parametrizations' }), net.stateDict({ naming: 'folded' })];
    const mixed = new Map<string, Tensor>();
    for (const [state, prefix] of [
      [old, 'first.'],
      [parametrized, 'blocks.0.'],
      [folded, 'blocks.1.'],
      [folded, 'blocks.2.'],
      [old, 'gain'],
    ] as const) {
      for (const [key, tensor] of state) if (key.startsWith(prefix)) mixed.set(key, tensor);
    }
    for (const normed of [true, false]) {
      const copy = new Net(normed);
      copy.loadStateDict(mixed);
      expect(relativeError(await copy.forward(x).read(), y)).toBeLessThanOrEqual(1e-6);
    }
  });

  test('loading copies: the state can be disposed afterwards', async () => {
    const net = source();
    const y = await net.forward(x).read();
    const copy = new Net();
    copy.loadStateDict(net.stateDict());
    net.dispose();
    expect(await copy.forward(x).read()).toEqual(y);
  });

  test('the old parameters are disposed, and nothing else is left over', () => {
    const [net, state] = [new Net(), source().stateDict()];
    net.forward(x);
    const old = [...net.namedParameters().values()];
    const { tensors } = device.memory();
    net.loadStateDict(state);
    expect(old.every((tensor) => tensor.disposed)).toBe(true);
    expect(device.memory().tensors).toBeLessThanOrEqual(tensors);
  });

  test('strict: names that are missing or unexpected throw, are all listed, and nothing changes', async () => {
    const net = source();
    const y = await net.forward(x).read();
    const state = new Net().stateDict();
    state.delete('first.weight_g');
    state.delete('blocks.2.bias');
    state.set('extra.weight', device.ones([1]));
    expectError(() => net.loadStateDict(state), 'ERR_KEYS', /missing \(2\): .*first\.weight_g.*; unexpected \(1\): extra\.weight/);
    expectError(() => net.loadStateDict(state), 'ERR_KEYS', /blocks\.2\.bias/);
    expect(await net.forward(x).read()).toEqual(y);
    const before = await (net.first as nn.WeightNormConv1d).weight_g.read();
    const { missing, unexpected } = net.loadStateDict(state, { strict: false });
    expect(missing.sort()).toEqual(['blocks.2.bias', 'first.weight_g']);
    expect(unexpected).toEqual(['extra.weight']);
    expect(await (net.first as nn.WeightNormConv1d).weight_g.read()).toEqual(before);
    expect(await (net.first as nn.WeightNormConv1d).weight_v.read()).toEqual(await (state.get('first.weight_v') as Tensor).read());
  });

  test('a wrong shape throws, strict or not, and nothing changes', async () => {
    const net = source();
    const y = await net.forward(x).read();
    for (const [key, shape, wanted] of [
      ['first.weight_v', [8, 3, 4], /first\.weight_v is \[8, 3, 4\] and must be \[8, 4, 3\]/],
      ['first.weight_g', [8], /first\.weight_g is \[8\] and must be \[8, 1, 1\]/],
      ['first.weight_g', [1, 1, 1], /first\.weight_g is \[1, 1, 1\] and must be \[8, 1, 1\]/],
      ['first.bias', [8, 1], /first\.bias is \[8, 1\] and must be \[8\]/],
      ['blocks.1.alpha', [1, 1, 5], /blocks\.1\.alpha is \[1, 1, 5\] and must be \[1, 6, 1\]/],
    ] as const) {
      const state = new Net().stateDict();
      state.set(key, device.ones(shape));
      expectError(() => net.loadStateDict(state), 'ERR_KEYS', wanted);
      expectError(() => net.loadStateDict(state, { strict: false }), 'ERR_KEYS', wanted);
    }
    const folded = new Net().stateDict({ naming: 'folded' });
    folded.set('first.weight', device.ones([8, 3, 4]));
    expectError(() => net.loadStateDict(folded), 'ERR_KEYS', /first\.weight is \[8, 3, 4\] and must be \[8, 4, 3\]/);
    const plain = new Net(false);
    const state = new Net().stateDict();
    state.set('first.weight_g', device.ones([4, 1, 1]));
    expectError(() => plain.loadStateDict(state), 'ERR_KEYS', /first\.weight_g is \[4, 1, 1\] and must be \[8, 4, 3\] with the normalised axes as 1/);
    expect(await net.forward(x).read()).toEqual(y);
  });

  test('when loading fails half-way nothing changes and nothing is left over', async () => {
    const net = source();
    const y = await net.forward(x).read();
    const state = new Net().stateDict();
    const { cast } = addon;
    const { tensors } = device.memory();
    let calls = 0;
    const spy = jest.spyOn(addon, 'cast').mockImplementation((tensor, dtype) => {
      if (++calls > 4) throw new WeightNormError('ERR_MEMORY', 'no more memory');
      return cast(tensor, dtype);
    });
    expectError(() => net.loadStateDict(state), 'ERR_MEMORY', /no more memory/);
    spy.mockRestore();
    expect(calls).toBe(5);
    expect(device.memory().tensors).toBe(tensors);
    expect(await net.forward(x).read()).toEqual(y);
  });

  test('two spellings of one weight, or half a pair, are unexpected', () => {
    const both = source().stateDict();
    both.set('first.weight', device.ones([8, 4, 3]));
    expectError(() => new Net().loadStateDict(both), 'ERR_KEYS', /unexpected \(1\): first\.weight/);
    const twice = source().stateDict();
    twice.set('first.parametrizations.weight.original0', device.ones([8, 1, 1]));
    expectError(() => new Net().loadStateDict(twice), 'ERR_KEYS', /unexpected \(1\): first\.parametrizations\.weight\.original0/);
    const half = source().stateDict();
    half.delete('first.weight_g');
    expectError(() => new Net(false).loadStateDict(half), 'ERR_KEYS', /missing \(1\): first\.weight; unexpected \(1\): first\.weight_v/);
  });

  test('a long list of names is cut, with its count', () => {
    const state = new Map(Array.from({ length: 30 }, (_, i): [string, Tensor] => [`k${i}`, device.ones([1])]));
    expectError(() => new Net().loadStateDict(state), 'ERR_KEYS', /unexpected \(30\): k0, .*k19 and 10 more/);
  });

  test('g of dim null is a scalar, or ones in every axis', async () => {
    for (const shape of [[], [1, 1, 1]]) {
      const conv = new nn.WeightNormConv1d(4, 6, 3, { device, dim: null });
      const plain = new nn.Conv1d(4, 6, 3, { device });
      const state = new Map([
        ['weight_g', device.full(shape, 2)],
        ['weight_v', device.tensor(values(72, 1), { shape: [6, 4, 3] })],
        ['bias', device.zeros([6])],
      ]);
      conv.loadStateDict(state);
      plain.loadStateDict(state);
      expect(conv.weight_g.shape).toEqual([]);
      expect(relativeError(await conv.forward(x).read(), await plain.forward(x).read())).toBeLessThanOrEqual(1e-6);
      expect(Math.hypot(...(await plain.weight.read()))).toBeCloseTo(2, 5);
    }
  });

  test.each([['float16'], ['bfloat16']] as const)('tensors are converted to the dtype of the parameter: %s', async (dtype) => {
    const net = source();
    const half = new Net(true, 'torch', dtype);
    half.loadStateDict(net.stateDict());
    for (const [name, tensor] of half.namedParameters()) {
      // g stays float32 beside a half v: nothing is lost of it.
      const wanted = name.endsWith('weight_g') || name === 'gain' ? 'float32' : dtype;
      expect([name, tensor.dtype]).toEqual([name, wanted]);
      const original = net.namedParameters().get(name) as Tensor;
      expect(await tensor.read()).toEqual(await (wanted === 'float32' ? original : original.to(dtype)).read());
    }
    const back = new Net();
    back.loadStateDict(half.stateDict());
    expect((back.first as nn.WeightNormConv1d).weight_v.dtype).toBe('float32');
  });

  test('a half pair folds in float32 into a float32 weight', async () => {
    const g = device.tensor(values(6, 2, 'bfloat16'), { shape: [6, 1, 1], dtype: 'bfloat16' });
    const v = device.tensor(values(72, 1, 'bfloat16'), { shape: [6, 4, 3], dtype: 'bfloat16' });
    const plain = new nn.Conv1d(4, 6, 3, { device, bias: false });
    plain.loadStateDict(
      new Map([
        ['weight_g', g],
        ['weight_v', v],
      ]),
    );
    expect(await plain.weight.read()).toEqual(await F.weightNorm(v.to('float32'), g.to('float32')).read());
  });

  test.each(devices)('tensors on %s are moved to the parameters', async (_name, other) => {
    const net = source();
    const state = new Map([...net.stateDict()].map(([key, tensor]) => [key, tensor.to(other)]));
    const copy = new Net();
    copy.loadStateDict(state);
    expect((copy.first as nn.WeightNormConv1d).weight_v.device).toBe(device);
    expect(await copy.forward(x).read()).toEqual(await net.forward(x).read());
  });

  test('shared layers and tensors: every name is given, one is enough to load, and they stay shared', async () => {
    class Tied extends nn.Module {
      a = new nn.WeightNormLinear(4, 4, { device });
      b = this.a;
      table = device.tensor(values(4, 1));
      list = [this.table];
    }
    const tied = new Tied();
    expect([...tied.namedParameters().keys()].sort()).toEqual(['a.bias', 'a.weight_g', 'a.weight_v', 'table']);
    const state = tied.stateDict();
    expect([...state.keys()].sort()).toEqual(['a.bias', 'a.weight_g', 'a.weight_v', 'b.bias', 'b.weight_g', 'b.weight_v', 'list.0', 'table']);
    const one = new Map([...new Tied().stateDict()].filter(([key]) => key.startsWith('b.') || key === 'list.0'));
    for (const given of [state, one]) {
      const copy = new Tied();
      expect(copy.loadStateDict(given)).toEqual({ missing: [], unexpected: [] });
      expect(copy.list[0]).toBe(copy.table);
      expect(await copy.table.read()).toEqual(await (given.get('list.0') as Tensor).read());
    }
  });

  test.each([
    ['mlx', 'torch', 'torch'],
    ['mlx', 'torch', 'mlx'],
    ['torch', 'mlx', 'mlx'],
    ['mlx', 'mlx', 'torch'],
  ] as const)('a %s model writes a %s state that a %s model reads', async (from, layout, to) => {
    const net = new Net(true, from);
    perturbGains(net);
    const expected = net.forward(from === 'mlx' ? nn.convertLayout(x, 'torch', 'mlx') : x);
    const y = await (from === 'mlx' ? nn.convertLayout(expected, 'mlx', 'torch') : expected).read();
    for (const naming of ['weight_g', 'parametrizations', 'folded'] as const) {
      const state = net.stateDict({ naming, layout });
      const weight = state.get(
        naming === 'folded' ? 'first.weight' : naming === 'weight_g' ? 'first.weight_v' : 'first.parametrizations.weight.original1',
      ) as Tensor;
      expect(weight.shape).toEqual(layout === 'torch' ? [8, 4, 3] : [8, 3, 4]);
      for (const normed of [true, false]) {
        const copy = new Net(normed, to);
        copy.loadStateDict(state, { layout });
        const actual = copy.forward(to === 'mlx' ? nn.convertLayout(x, 'torch', 'mlx') : x);
        expect(relativeError(await (to === 'mlx' ? nn.convertLayout(actual, 'mlx', 'torch') : actual).read(), y)).toBeLessThanOrEqual(1e-6);
      }
    }
  });

  test('a state of the other layout is refused rather than guessed', () => {
    const state = source().stateDict({ layout: 'mlx' });
    expectError(() => new Net().loadStateDict(state), 'ERR_KEYS', /first\.weight_v is \[8, 3, 4\] and must be \[8, 4, 3\]/);
  });

  test('bad arguments say so', () => {
    const net = new Net();
    expectError(() => net.loadStateDict({} as Map<string, Tensor>), 'ERR_ARGUMENT', /state is a Object; it must be a Map/);
    expectError(() => net.loadStateDict(new Map([['gain', 3 as unknown as Tensor]])), 'ERR_ARGUMENT', /state entry "gain" is 3; it must be a Tensor/);
    const gone = device.ones([1]);
    gone.dispose();
    expectError(() => net.loadStateDict(new Map([['gain', gone]]), { strict: false }), 'ERR_DISPOSED', /state entry "gain" was disposed/);
    expectError(() => net.loadStateDict(new Map([[7 as unknown as string, device.ones([1])]])), 'ERR_ARGUMENT', /key 7; keys must be strings/);
    expectError(() => net.loadStateDict(new Map(), { layout: 'NCL' as nn.Layout }), 'ERR_ARGUMENT', /layout is "NCL"; it must be 'torch' or 'mlx'/);
    expectError(() => net.loadStateDict(new Map(), { strict: 'yes' as unknown as boolean }), 'ERR_ARGUMENT', /strict is "yes"/);
    expectError(() => net.stateDict({ naming: 'v2' as nn.Naming }), 'ERR_ARGUMENT', /naming is "v2"; it must be 'weight_g', 'parametrizations' or 'folded'/);
    expectError(() => net.stateDict({ layout: 3 as unknown as nn.Layout }), 'ERR_ARGUMENT', /layout is 3/);
  });
});
