import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { Device, io, type Tensor } from 'weightnorm';
import { temporaryFolder } from '../support/files';
import { zipBytes } from '../support/zip-writer';

const folder = temporaryFolder();
const cpu = Device.get('cpu');
const golden = (name: string): string => `test/golden/torch/${name}`;

function npy(descr: string, shape: readonly number[], data: Uint8Array, order = 'False'): Buffer {
  const tuple = `(${shape.join(', ')}${shape.length === 1 ? ',' : ''})`;
  const body = Buffer.from(`{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${tuple}, }\n`);
  const head = Buffer.from('\x93NUMPY\x01\x00\x00\x00', 'latin1');
  head.writeUInt16LE(body.length, 8);
  return Buffer.concat([head, body, data]);
}

describe.each(['arrays.npz', 'compressed.npz'])('%s, which NumPy wrote', (name) => {
  test('every array as NumPy shows it; integers are left out and named', async () => {
    const expected: Record<string, { shape: number[]; dtype: string; values: number[] }> = JSON.parse(readFileSync(golden('arrays.npz.json'), 'utf8'));
    const loaded = await io.loadNpz(golden(name), { device: cpu });
    expect(loaded.skipped).toEqual(['int64', 'bool']);
    expect([...loaded.keys()]).toEqual(Object.keys(expected).filter((key) => !loaded.skipped.includes(key)));
    for (const [key, tensor] of loaded) {
      const { shape, dtype, values } = expected[key] as { shape: number[]; dtype: string; values: number[] };
      expect([key, tensor.shape, tensor.dtype]).toEqual([key, shape, dtype === 'float16' ? 'float16' : 'float32']);
      expect([...(await tensor.read())]).toEqual(values.map(Math.fround));
    }
  });
});

test('any arrays, stored or compressed, in either order of bytes and axes', async () => {
  const array = fc.record({
    shape: fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 4 }),
    descr: fc.constantFrom('<f4', '>f4', '<f8', '>f8'),
    fortran: fc.boolean(),
    deflate: fc.boolean(),
    seed: fc.integer({ min: 1, max: 2 ** 24 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(array, { minLength: 1, maxLength: 4 }), async (arrays) => {
      const parts = arrays.map(({ shape, descr, fortran, deflate, seed }, i) => {
        const size = shape.reduce((product, dim) => product * dim, 1);
        const wide = descr.endsWith('8');
        const data = Buffer.alloc(size * (wide ? 8 : 4));
        for (let k = 0; k < size; k++) {
          const value = seed / 2 ** k;
          if (descr === '<f4') data.writeFloatLE(value, k * 4);
          else if (descr === '>f4') data.writeFloatBE(value, k * 4);
          else if (descr === '<f8') data.writeDoubleLE(value, k * 8);
          else data.writeDoubleBE(value, k * 8);
        }
        return { name: `a${i}.npy`, data: npy(descr, shape, data, fortran ? 'True' : 'False'), deflate };
      });
      const loaded = await io.loadNpz(folder.file('property.npz', zipBytes(parts)), { device: cpu });
      for (const [i, { shape, fortran, seed }] of arrays.entries()) {
        const values = await (loaded.get(`a${i}`) as Tensor).read();
        // The position in the file of each element, row-major in the result.
        let positions = [0];
        shape.forEach((dim, axis) => {
          const stride = (fortran ? shape.slice(0, axis) : shape.slice(axis + 1)).reduce((product, size) => product * size, 1);
          positions = positions.flatMap((position) => Array.from({ length: dim }, (_, k) => position + k * stride));
        });
        expect([...values]).toEqual(positions.map((position) => Math.fround(seed / 2 ** position)));
      }
      for (const tensor of loaded.values()) tensor.dispose();
    }),
    { numRuns: 100 },
  );
});

const floats = Buffer.from(Float32Array.of(1, 2).buffer);

test.each<[string, Buffer, RegExp]>([
  ['text', npy('<U4', [2], Buffer.alloc(32)), /a\.npy: dtype is "<U4"; arrays of floats, integers and booleans are allowed/],
  ['Python objects', npy('|O', [2], Buffer.alloc(16)), /a\.npy: dtype is "\|O"/],
  ['complex numbers of 128 bits', npy('<c16', [1], Buffer.alloc(16)), /a\.npy: dtype is "<c16"/],
  ['too little data', npy('<f4', [3], floats), /a\.npy: holds 8 bytes of data; shape \[3\] of '<f4' takes 12/],
  ['too much data', npy('<f4', [1], floats), /a\.npy: holds 8 bytes of data; shape \[1\] of '<f4' takes 4/],
  ['a size that overflows', npy('<f4', [2 ** 52, 2 ** 52], floats), /a\.npy: holds 8 bytes of data/],
  ['no array', Buffer.from('hello, world'), /a\.npy: is not a \.npy file/],
  ['nothing', Buffer.alloc(0), /a\.npy: is 0 bytes long/],
])('an archive with %s is an ERR_FORMAT that names file and array', async (_, data, message) => {
  for (const deflate of [false, true]) {
    const file = folder.file('bad.npz', zipBytes([{ name: 'a.npy', data, deflate }]));
    const error = await io.loadNpz(file, { device: cpu }).then(
      () => null,
      (reason) => reason,
    );
    expect(error).toMatchObject({ code: 'ERR_FORMAT', message: expect.stringMatching(message) });
    expect(error.message.startsWith(`${file}: `)).toBe(true);
  }
});

test('an archive in several parts with other things is none of arrays', async () => {
  const file = folder.file(
    'mixed.npz',
    zipBytes([
      { name: 'a.npy', data: npy('<f4', [2], floats) },
      { name: 'readme.txt', data: Buffer.from('x') },
    ]),
  );
  await expect(io.loadNpz(file)).rejects.toMatchObject({ code: 'ERR_FORMAT', message: expect.stringMatching(/is a zip archive without tensors/) });
});

test('a damaged array is found when it is read', async () => {
  const bytes = readFileSync(golden('arrays.npz'));
  const at = bytes.indexOf(floats.subarray(4));
  bytes[at] = (bytes[at] as number) ^ 1;
  await expect(io.loadNpz(folder.file('damaged.npz', bytes), { device: cpu })).rejects.toMatchObject({
    code: 'ERR_FORMAT',
    message: expect.stringMatching(/is damaged: its CRC-32/),
  });
});
