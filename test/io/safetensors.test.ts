import { chmodSync, readFileSync, truncateSync } from 'node:fs';
import { Device, io, type Tensor } from 'weightnorm';
import { heldTensors } from '../support/collect';
import { fileHandlePrototype, safetensorsBytes, temporaryFolder } from '../support/files';

const folder = temporaryFolder();
const cpu = Device.get('cpu');

/** Watches the reads of every open file; `after` runs behind the first. */
async function watchReads(after?: () => void): Promise<jest.SpyInstance> {
  const prototype = await fileHandlePrototype();
  const read = prototype.read as (...args: unknown[]) => Promise<unknown>;
  const spy: jest.SpyInstance = jest.spyOn(prototype, 'read');
  if (after) {
    spy.mockImplementationOnce(async function (this: unknown, ...args: unknown[]) {
      const result = await read.apply(this, args);
      after();
      return result;
    });
  }
  return spy;
}

/** Float32 tensors of so many elements each, one behind the other; element i of the file is i. */
function counting(counts: readonly number[]): Uint8Array {
  const header: Record<string, unknown> = {};
  let end = 0;
  for (const [i, count] of counts.entries()) {
    header[`t${i}`] = { dtype: 'F32', shape: [count], data_offsets: [4 * end, 4 * (end + count)] };
    end += count;
  }
  return safetensorsBytes(header, new Uint8Array(Float32Array.from({ length: end }, (_, i) => i).buffer));
}

describe('loadSafetensors', () => {
  test('small tensors share reads of the file, whatever lies between them', async () => {
    // Elements of some among the small ones: longer than a window, than what moves it, and just short of that.
    const long = new Map([140_000, 40_000, 32_767].map((count, i) => [7 + 2 * i, count]));
    const counts = Array.from({ length: 400 }, (_, i) => long.get(i % 50) ?? 1 + ((i * 37) % 300));
    const file = folder.file('many.safetensors', counting(counts));
    const reads = await watchReads();
    const loaded = await io.loadSafetensors(file, { device: cpu });
    const calls = reads.mock.calls.length;
    reads.mockRestore();
    let first = 0;
    for (const [i, count] of counts.entries()) {
      const values = await (loaded.get(`t${i}`) as Tensor).read();
      expect(values.length).toBe(count);
      expect(values.every((value, k) => value === first + k)).toBe(true);
      first += count;
    }
    for (const tensor of loaded.values()) tensor.dispose();
    expect(calls).toBeLessThan(50);
  });

  test.each([
    ['a small tensor', [200_000, 100]],
    ['a large tensor', [100, 200_000]],
  ])('a file that is cut short in %s after its header was read', async (name, counts) => {
    const bytes = counting(counts);
    const file = folder.file(`${name}.safetensors`, bytes);
    const reads = await watchReads(() => truncateSync(file, bytes.length - 200));
    try {
      await expect(io.loadSafetensors(file, { device: cpu })).rejects.toMatchObject({
        code: 'ERR_FORMAT',
        message: `${file}: ends at byte ${bytes.length - 200}, inside data that goes on to byte ${bytes.length}`,
      });
    } finally {
      reads.mockRestore();
    }
  });

  test('F32, F16, BF16 and F64 tensors have their values and dtypes; others are named in skipped', async () => {
    const data = Buffer.alloc(8 + 4 + 4 + 16 + 8 + 1);
    data.writeDoubleLE(0.1, 0);
    data.writeDoubleLE(-3e200, 8);
    data.writeFloatLE(1.5, 16);
    data.writeFloatLE(-0, 20);
    data.writeUInt16LE(0x3c01, 24);
    data.writeUInt16LE(0xfbff, 26);
    data.writeUInt16LE(0x3f81, 28);
    data.writeUInt16LE(0xff80, 30);
    data.writeBigInt64LE(7n, 32);
    data[40] = 1;
    const file = folder.file(
      'all.safetensors',
      safetensorsBytes(
        {
          wide: { dtype: 'F64', shape: [2], data_offsets: [0, 16] },
          plain: { dtype: 'F32', shape: [2, 1], data_offsets: [16, 24] },
          half: { dtype: 'F16', shape: [2], data_offsets: [24, 28] },
          brain: { dtype: 'BF16', shape: [1, 2], data_offsets: [28, 32] },
          step: { dtype: 'I64', shape: [], data_offsets: [32, 40] },
          flag: { dtype: 'BOOL', shape: [1], data_offsets: [40, 41] },
          nothing: { dtype: 'F32', shape: [0, 3], data_offsets: [41, 41] },
        },
        data,
      ),
    );
    const loaded = await io.loadSafetensors(file, { device: cpu });
    expect([...loaded.keys()].sort()).toEqual(['brain', 'half', 'plain', 'wide']);
    expect([...loaded.skipped].sort()).toEqual(['flag', 'nothing', 'step']);
    const of = (name: string): Tensor => loaded.get(name) as Tensor;
    expect([...(await of('wide').read())]).toEqual([Math.fround(0.1), Number.NEGATIVE_INFINITY]);
    expect([...(await of('plain').read())]).toEqual([1.5, -0]);
    expect([...(await of('half').read())]).toEqual([1 + 2 ** -10, -65504]);
    expect([...(await of('brain').read())]).toEqual([1 + 2 ** -7, Number.NEGATIVE_INFINITY]);
    expect([of('wide').dtype, of('half').dtype, of('brain').dtype]).toEqual(['float32', 'float16', 'bfloat16']);
    expect(of('brain').shape).toEqual([1, 2]);
    for (const tensor of loaded.values()) tensor.dispose();
  });

  test('dtype converts every tensor, each value rounded once', async () => {
    // 1 + 2^-11 + 2^-40 lies just above a tie of float16; through float32 it would be one.
    const data = Buffer.alloc(8);
    data.writeDoubleLE(1 + 2 ** -11 + 2 ** -40);
    const file = folder.file('convert.safetensors', safetensorsBytes({ x: { dtype: 'F64', shape: [1], data_offsets: [0, 8] } }, data));
    const x = (await io.loadSafetensors(file, { device: cpu, dtype: 'float16' })).get('x') as Tensor;
    expect(x.dtype).toBe('float16');
    expect([...(await x.read())]).toEqual([1 + 2 ** -10]);
    const half = folder.file('half.safetensors', safetensorsBytes({ x: { dtype: 'F16', shape: [1], data_offsets: [0, 2] } }, Uint8Array.of(0x01, 0x3c)));
    const y = (await io.loadSafetensors(half, { device: cpu, dtype: 'bfloat16' })).get('x') as Tensor;
    expect(y.dtype).toBe('bfloat16');
    expect([...(await y.read())]).toEqual([1]);
  });

  test('a failed load leaves no tensor behind', async () => {
    const before = await heldTensors(cpu);
    const header = { a: { dtype: 'F32', shape: [1], data_offsets: [0, 4] }, b: { dtype: 'F32', shape: new Array(9).fill(1), data_offsets: [4, 8] } };
    const file = folder.file('rank.safetensors', safetensorsBytes(header, new Uint8Array(8)));
    await expect(io.loadSafetensors(file, { device: cpu })).rejects.toMatchObject({
      code: 'ERR_FORMAT',
      message: expect.stringMatching(/rank\.safetensors: tensor "b" has rank 9; ranks 0 to 8/),
    });
    expect(cpu.memory().tensors).toBe(before);
  });
});

describe('saveSafetensors', () => {
  test('what is saved is loaded again, bit for bit, with dtypes, shapes and metadata', async () => {
    const file = folder.file('saved.safetensors');
    const tensors = new Map([
      ['half', cpu.randn([3, 5], { seed: 1, dtype: 'float16' })],
      ['scalar', cpu.tensor(2.5)],
      ['brain', cpu.randn([7], { seed: 2, dtype: 'bfloat16' })],
      ['größe "q"', cpu.randn([2, 3, 4], { seed: 3 })],
    ]);
    await io.saveSafetensors(file, tensors, { format: 'pt', note: 'a\n"b"' });
    const bytes = readFileSync(file);
    const length = Number(bytes.readBigUInt64LE());
    const header = JSON.parse(bytes.subarray(8, 8 + length).toString());
    expect(length % 8).toBe(0);
    expect(header.__metadata__).toEqual({ format: 'pt', note: 'a\n"b"' });
    // Wide tensors come first, so that every tensor is aligned to its elements.
    for (const [name, tensor] of tensors) expect(header[name].data_offsets[0] % (tensor.byteLength / tensor.size)).toBe(0);
    const loaded = await io.loadSafetensors(file, { device: cpu });
    expect([...loaded.keys()].sort()).toEqual([...tensors.keys()].sort());
    for (const [name, tensor] of tensors) {
      expect(loaded.get(name)?.shape).toEqual(tensor.shape);
      expect(loaded.get(name)?.dtype).toBe(tensor.dtype);
      expect(await loaded.get(name)?.readRaw()).toEqual(await tensor.readRaw());
    }
  });

  test('the values are those of the call, whatever happens to the tensors meanwhile', async () => {
    const file = folder.file('moment.safetensors');
    const written = cpu.tensor([1, 2]);
    const disposed = cpu.tensor([3, 4]);
    const before = await heldTensors(cpu);
    const saving = io.saveSafetensors(
      file,
      new Map([
        ['written', written],
        ['disposed', disposed],
      ]),
    );
    written.write([9, 9]);
    disposed.dispose();
    await saving;
    expect(cpu.memory().tensors).toBe(before - 1);
    const loaded = await io.loadSafetensors(file, { device: cpu });
    expect([...(loaded.get('written') as Tensor).readSync()]).toEqual([1, 2]);
    expect([...(loaded.get('disposed') as Tensor).readSync()]).toEqual([3, 4]);
  });

  test('an existing file keeps its permissions and is replaced', async () => {
    const file = folder.file('mode.safetensors', 'old');
    chmodSync(file, 0o600);
    await io.saveSafetensors(file, new Map([['x', cpu.ones([1])]]));
    const { statSync } = await import('node:fs');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect((await io.loadSafetensors(file, { device: cpu })).has('x')).toBe(true);
  });

  test.each([
    ['a plain object', () => ({ x: cpu.ones([1]) }), 'ERR_ARGUMENT', /tensors is a Object; it must be a Map/],
    ['a reserved name', () => new Map([['__metadata__', cpu.ones([1])]]), 'ERR_ARGUMENT', /keys must be strings other than "__metadata__"/],
    ['a value that is no tensor', () => new Map([['x', [1, 2]]]), 'ERR_ARGUMENT', /tensor "x" is .*it must be a Tensor/],
    [
      'a disposed tensor',
      () => {
        const x = cpu.ones([1]);
        x.dispose();
        return new Map([['x', x]]);
      },
      'ERR_DISPOSED',
      /tensor "x" was disposed/,
    ],
  ])('%s is refused', async (_, make, code, message) => {
    await expect(io.saveSafetensors(folder.file('never.safetensors'), make() as never)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
    expect(folder.list()).not.toContain('never.safetensors');
  });

  test('metadata that is not text is refused', async () => {
    await expect(io.saveSafetensors(folder.file('never.safetensors'), new Map(), { step: 3 } as never)).rejects.toMatchObject({
      code: 'ERR_ARGUMENT',
      message: 'metadata.step is 3; it must be a string',
    });
  });
});
