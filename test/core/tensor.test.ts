import { Device, functional as F, scope, Tensor, WeightNormError } from 'weightnorm';
import type { Addon, NativeTensor } from '../../lib/native';
import { collectGarbage, heldTensors } from '../support/collect';
import { devices } from '../support/devices';

const { addon } = require('../../dist/native.js') as { addon: Addon };

const refused = (run: () => unknown): [string, string] => {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(WeightNormError);
    return [(error as WeightNormError).code, (error as Error).message];
  }
  throw new Error('nothing was thrown');
};

describe.each(devices)('tensors on %s', (_, device) => {
  test('keep shape, dtype and values of nested arrays, flat arrays and every typed array', async () => {
    const nested = device.tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect([nested.shape, nested.dtype, nested.size, nested.byteLength, nested.device]).toEqual([[2, 3], 'float32', 6, 24, device]);
    expect([...(await nested.read())]).toEqual([1, 2, 3, 4, 5, 6]);
    for (const array of [Float32Array, Float64Array, Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array]) {
      expect([...(await device.tensor(array.from([1, 2, 100]), { shape: [3, 1] }).read())]).toEqual([1, 2, 100]);
    }
    expect([...device.tensor(7).readSync(), device.tensor(7).shape.length]).toEqual([7, 0]);
    expect(device.tensor([1, 2, 3, 4], { shape: [2, -1] }).shape).toEqual([2, 2]);
    const shared = new Float32Array(new SharedArrayBuffer(8));
    shared.set([5, 6]);
    expect([...(await device.tensor(shared).read())]).toEqual([5, 6]);
    expect([...(await device.tensor(Float32Array.of(8, 9).buffer).read())]).toEqual([8, 9]);
  });

  test('a tensor that has the handle of a disposed one is its own: the other stays disposed, and both are freed', async () => {
    const before = await heldTensors(device);
    const made = (from: number): Tensor[] => Array.from({ length: 400 }, (_, i) => device.full([1], from + i));
    const old = made(0);
    const pending = (old[399] as Tensor).read();
    for (const tensor of old) tensor.dispose();
    let next = made(1000);
    for (const tensor of old) {
      tensor.dispose();
      expect(tensor.disposed).toBe(true);
      expect(() => tensor.reshape([1])).toThrow(/disposed/);
    }
    expect(await pending).toEqual(Float32Array.of(399));
    const values = await Promise.all(next.map((tensor) => tensor.read()));
    expect(values.map(([value]) => value)).toEqual(next.map((_, i) => 1000 + i));
    expect(device.memory().tensors).toBe(before + 400);
    // The collector still finds those that nobody disposed of.
    next = [];
    expect(await heldTensors(device)).toBe(before);
  });

  test('many tensors are told apart, those in the place of collected ones too, and nothing else is taken for one', async () => {
    const make = (count: number, from: number): Tensor[] => Array.from({ length: count }, (_, i) => device.full([1], from + i));
    const kept = make(1000, 0).filter((tensor, i) => i % 2 === 0 || void tensor.dispose());
    await collectGarbage();
    const all = [...kept, ...make(700, 5000)];
    const expected = Array.from({ length: 1200 }, (_, i) => (i < 500 ? 2 * i : 4500 + i));
    expect([...(await F.cat(all).read())]).toEqual(expected);
    for (const tensor of all) tensor.dispose();
    const queue = addon.openQueue(device.info.type) as unknown as NativeTensor;
    for (const other of [queue, {} as NativeTensor, 1 as unknown as NativeTensor]) {
      expect(refused(() => addon.shape(other))).toEqual(['ERR_ARGUMENT', 'not a native tensor']);
    }
  });

  test('half types take numbers or bits and give both back', async () => {
    const half = device.tensor([1, -2.5, 65504], { dtype: 'float16' });
    expect([...((await half.readRaw()) as Uint16Array)]).toEqual([0x3c00, 0xc100, 0x7bff]);
    const same = device.tensor(Uint16Array.of(0x3c00, 0xc100, 0x7bff), { dtype: 'float16' });
    expect([...(await same.read())]).toEqual([1, -2.5, 65504]);
    expect([...((await device.tensor([1, 3.140625], { dtype: 'bfloat16' }).readRaw()) as Uint16Array)]).toEqual([0x3f80, 0x4049]);
    // One rounding from float64: 1 + 2⁻¹¹ + 2⁻⁴⁰ lies above the tie, although float32 would land on it.
    expect([...((await device.tensor([1 + 2 ** -11 + 2 ** -40], { dtype: 'float16' }).readRaw()) as Uint16Array)]).toEqual([0x3c01]);
  });

  test('zeros, ones, full and randn', async () => {
    expect([...(await device.zeros([2]).read()), ...(await device.ones([2], 'bfloat16').read()), ...(await device.full([1], -3).read())]).toEqual([
      0, 0, 1, 1, -3,
    ]);
    const a = await device.randn([1000], { seed: 7 }).read();
    expect(a).toEqual(await device.randn([10, 100], { seed: 7 }).read());
    expect(a).not.toEqual(await device.randn([1000], { seed: 8 }).read());
    const mean = a.reduce((s, x) => s + x, 0) / 1000;
    const deviation = Math.sqrt(a.reduce((s, x) => s + (x - mean) ** 2, 0) / 1000);
    expect(Math.abs(mean)).toBeLessThan(0.1);
    expect(Math.abs(deviation - 1)).toBeLessThan(0.08);
    // Fixed bits: the same on every device and platform.
    expect([...a.slice(0, 3)].map((x) => x.toFixed(6))).toEqual(
      [...(await Device.get('cpu').randn([1000], { seed: 7 }).read()).slice(0, 3)].map((x) => x.toFixed(6)),
    );
  });

  test('write replaces the values for later work and leaves queued work and views alone', async () => {
    const x = device.tensor([1, 2, 3, 4]);
    const view = x.reshape([2, 2]);
    const doubled = F.mul(x, 2);
    const data = Float32Array.of(9, 8, 7, 6);
    x.write(data);
    data.fill(0);
    expect([...(await doubled.read())]).toEqual([2, 4, 6, 8]);
    expect([...(await view.read())]).toEqual([1, 2, 3, 4]);
    expect([...(await x.read())]).toEqual([9, 8, 7, 6]);
    expect(x.version).toBe(1);
    expect(refused(() => x.write([1, 2]))).toEqual(['ERR_SHAPE', expect.stringMatching(/data has 2 elements; a tensor of shape \[4\] takes 4/)]);
    structuredClone(data.buffer, { transfer: [data.buffer] });
    expect(refused(() => x.write(data))[0]).toBe('ERR_SHAPE');
    expect([...(await x.read())]).toEqual([9, 8, 7, 6]);
  });

  test('dispose, using and reads that are pending', async () => {
    const x = device.tensor([1, 2]);
    const pending = F.add(x, 1).read();
    const own = x.read();
    x.dispose();
    x.dispose();
    expect(x.disposed).toBe(true);
    expect([...(await own), ...(await pending)]).toEqual([1, 2, 2, 3]);
    expect(refused(() => F.add(x, 1))).toEqual(['ERR_DISPOSED', 'a was disposed']);
    await expect(x.read()).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
    const y = device.ones([3]);
    y[Symbol.dispose]();
    expect(y.disposed).toBe(true);
  });

  test('reshape, clone, to', async () => {
    const x = device.tensor([1, 2, 3, 4, 5, 6]);
    expect(x.reshape([3, -1]).shape).toEqual([3, 2]);
    const copy = x.clone();
    x.write([0, 0, 0, 0, 0, 0]);
    expect([...(await copy.read())]).toEqual([1, 2, 3, 4, 5, 6]);
    for (const [, other] of devices) {
      const moved = copy.to(other);
      expect(moved.device).toBe(other);
      expect([...(await moved.to(device).read())]).toEqual([1, 2, 3, 4, 5, 6]);
    }
    expect(copy.to('float16').dtype).toBe('float16');
    expect(refused(() => x.reshape([4]))).toEqual(['ERR_SHAPE', 'shape [4] does not hold 6 elements']);
    expect(refused(() => x.reshape([-1, -1]))[0]).toBe('ERR_SHAPE');
    expect(refused(() => x.to('int8' as never))[0]).toBe('ERR_DTYPE');
    expect(refused(() => x.to({} as never))[0]).toBe('ERR_DEVICE');
  });

  const bad: [string, () => unknown, string, RegExp][] = [
    ['a zero dimension', () => device.zeros([2, 0]), 'ERR_SHAPE', /\[2, 0\]; every dimension must be an integer of at least 1/],
    ['empty data', () => device.tensor([]), 'ERR_SHAPE', /no elements/],
    ['rank 9', () => device.zeros([1, 1, 1, 1, 1, 1, 1, 1, 1]), 'ERR_SHAPE', /rank 9; ranks 0 to 8/],
    ['ragged data', () => device.tensor([[1, 2], [3]]), 'ERR_SHAPE', /ragged/],
    ['mixed depth', () => device.tensor([[1], 2] as never), 'ERR_SHAPE', /ragged/],
    ['a string in data', () => device.tensor(['1'] as never), 'ERR_ARGUMENT', /data holds "1"/],
    ['no data', () => device.tensor(undefined as never), 'ERR_ARGUMENT', /data is undefined/],
    ['bigints', () => device.tensor(BigInt64Array.of(1n)), 'ERR_DTYPE', /BigInt64Array/],
    ['a shape that does not fit', () => device.tensor([1, 2, 3], { shape: [2, 2] }), 'ERR_SHAPE', /shape \[2, 2\] does not hold 3 elements/],
    ['an unknown dtype', () => device.zeros([1], 'float64' as never), 'ERR_DTYPE', /dtype is "float64"/],
    ['a fractional dimension', () => device.zeros([1.5]), 'ERR_SHAPE', /1.5/],
    ['a negative seed', () => device.randn([1], { seed: -1 }), 'ERR_ARGUMENT', /seed is -1/],
    ['the constructor', () => new (Tensor as unknown as new () => Tensor)(), 'ERR_ARGUMENT', /no public constructor/],
  ];
  test.each(bad)('%s is refused', (_name, run, code, message) => {
    expect(refused(run)).toEqual([code, expect.stringMatching(message)]);
  });

  test('sizes past 2^31 and past memory throw ERR_MEMORY, and the device goes on', async () => {
    for (const shape of [[2 ** 31, 2 ** 10], [2 ** 52], [2 ** 53, 2 ** 53], [2 ** 40, 2 ** 12]]) {
      const [code, message] = refused(() => device.zeros(shape));
      expect([code, message]).toEqual(['ERR_MEMORY', expect.stringMatching(/bytes are needed|2\^53/)]);
    }
    expect(refused(() => F.pad(device.ones([4]), [2 ** 52, 2 ** 52]))[0]).toBe('ERR_MEMORY');
    expect(refused(() => F.interpolate(device.ones([4]), 2 ** 52))[0]).toBe('ERR_MEMORY');
    expect([...(await device.ones([2]).read())]).toEqual([1, 1]);
  });

  test('memory figures follow tensors', async () => {
    await heldTensors(device);
    const before = device.memory();
    const x = device.zeros([256, 1024]);
    expect(device.memory().liveBytes).toBe(before.liveBytes + 2 ** 20);
    expect(device.memory().tensors).toBe(before.tensors + 1);
    await x.read();
    x.dispose();
    await device.synchronize();
    expect(device.memory().liveBytes).toBe(before.liveBytes);
    expect(device.memory().tensors).toBe(before.tensors);
    expect(device.memory().peakBytes).toBeGreaterThanOrEqual(before.liveBytes + 2 ** 20);
    device.trim();
    expect(device.memory().cachedBytes).toBe(0);
  });

  test('scope disposes what is not returned', async () => {
    let inner: Tensor | undefined;
    const result = scope(() => {
      const a = device.ones([2]);
      inner = F.add(a, 1);
      return { list: [F.mul(inner, 3)], map: new Map([['a', a]]) };
    });
    expect(inner?.disposed).toBe(true);
    expect([...(await (result.list[0] as Tensor).read()), ...(await (result.map.get('a') as Tensor).read())]).toEqual([6, 6, 1, 1]);
    const outer = device.ones([1]);
    const nested = scope(() => scope(() => F.add(outer, 1)));
    expect([nested.disposed, outer.disposed]).toEqual([false, false]);
    let left: Tensor | undefined;
    expect(() =>
      scope(() => {
        left = device.ones([1]);
        throw new Error('mine');
      }),
    ).toThrow('mine');
    expect(left?.disposed).toBe(true);
    expect(refused(() => scope(async () => device.ones([1])))).toEqual(['ERR_ARGUMENT', expect.stringMatching(/returned a promise/)]);
  });

  test('a tensor cannot be cloned to another environment', () => {
    expect(() => structuredClone(device.ones([1]))).toThrow(/a Tensor belongs to the thread that made it/);
  });
});

describe('devices', () => {
  test('are listed with their facts; get returns one object a type', () => {
    const cpu = Device.get('cpu');
    expect(cpu).toBe(Device.get('cpu'));
    expect(cpu.info).toMatchObject({ type: 'cpu', simulated: false, unifiedMemory: true });
    expect(cpu.info.name.length).toBeGreaterThan(0);
    expect(cpu.info.memoryBytes).toBeGreaterThan(2 ** 28);
    expect(Device.list().map(({ type }) => type)).toContain('cpu');
  });

  test('a type that does not exist, or is not here, is refused with what to do', () => {
    expect(refused(() => Device.get('cuda' as never))).toEqual([
      'ERR_DEVICE_UNAVAILABLE',
      expect.stringMatching(/device type is "cuda"; it must be 'metal' or 'cpu'/),
    ]);
    if (Device.list().some(({ type }) => type === 'metal')) expect(Device.get('metal').info.type).toBe('metal');
    else
      expect(refused(() => Device.get('metal'))).toEqual([
        'ERR_DEVICE_UNAVAILABLE',
        expect.stringMatching(/no usable Metal device: .*; use Device.get\('cpu'\)/),
      ]);
  });
});
