import { readFileSync } from 'node:fs';
import { io } from 'weightnorm';
import { temporaryFolder } from '../support/files';

const folder = temporaryFolder();

function npy(header: string, data: Uint8Array, version = 1): Buffer {
  const wide = version > 1;
  const body = Buffer.from(`${header}\n`, version === 3 ? 'utf8' : 'latin1');
  const head = Buffer.alloc(wide ? 12 : 10);
  head.write('\x93NUMPY', 'latin1');
  head[6] = version;
  if (wide) head.writeUInt32LE(body.length, 8);
  else head.writeUInt16LE(body.length, 8);
  return Buffer.concat([head, body, data]);
}

const header = (descr: string, shape: string, order = 'False') => `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${shape}, }`;
const floats = Buffer.from(Float32Array.of(1, -2, 3.5, 4, 5, 6).buffer);

test('a saved array is loaded again, and is what NumPy writes', async () => {
  const file = folder.file('a.npy');
  const data = Float32Array.of(1, -2, 3.5, 4, 5, 6);
  await io.saveNpy(file, data, [2, 3]);
  const bytes = readFileSync(file);
  expect(bytes.length).toBe(128 + 24);
  expect(bytes.subarray(0, 10)).toEqual(Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, 118, 0]));
  expect(bytes.subarray(10, 128).toString('latin1')).toBe(`${header('<f4', '(2, 3)').padEnd(117)}\n`);
  expect(await io.loadNpy(file)).toEqual({ data, shape: [2, 3] });
  await io.saveNpy(file, data, [6]);
  expect(readFileSync(file).toString('latin1')).toContain("'shape': (6,), }");
  expect((await io.loadNpy(file)).shape).toEqual([6]);
  await io.saveNpy(file, data.subarray(2, 3), []);
  expect(await io.loadNpy(file)).toEqual({ data: Float32Array.of(3.5), shape: [] });
});

test.each([
  ['version 2', npy(header('<f4', '(2, 3)'), floats, 2), [1, -2, 3.5, 4, 5, 6], [2, 3]],
  ['version 3', npy(header('<f4', '(6,)'), floats, 3), [1, -2, 3.5, 4, 5, 6], [6]],
  ['float64', npy(header('<f8', '(2,)'), Buffer.from(Float64Array.of(0.1, -1e300).buffer)), [Math.fround(0.1), Number.NEGATIVE_INFINITY], [2]],
  [
    'float16 with zeros, subnormals, infinity',
    npy(header('<f2', '(6,)'), Buffer.from(Uint16Array.of(0x3c01, 0x8000, 0x0001, 0x83ff, 0x7bff, 0xfc00).buffer)),
    [1 + 2 ** -10, -0, 2 ** -24, -1023 * 2 ** -24, 65504, Number.NEGATIVE_INFINITY],
    [6],
  ],
  ['keys in another order, as Python 2 wrote them', npy(`{"shape": (2L, 3L), "descr": "<f4", "fortran_order": False}`, floats), [1, -2, 3.5, 4, 5, 6], [2, 3]],
  ['no elements', npy(header('<f4', '(0, 3)'), new Uint8Array(0)), [], [0, 3]],
])('%s is read', async (_, bytes, values, shape) => {
  const array = await io.loadNpy(folder.file('b.npy', bytes as Buffer));
  expect([...array.data]).toEqual(values);
  expect(array.shape).toEqual(shape);
});

test.each([
  ['0 bytes', Buffer.alloc(0), /is 0 bytes long; that is too short/],
  ['no magic', Buffer.alloc(64), /is not a \.npy file/],
  ['version 9', npy(header('<f4', '(6,)'), floats, 9), /has \.npy format version 9; versions 1 to 3/],
  ['a header past the end', npy(header('<f4', '(6,)'), floats).subarray(0, 40), /header length is \d+; the file has 40 bytes/],
  ['Fortran order', npy(header('<f4', '(2, 3)', 'True'), floats), /is in Fortran order/],
  ['big-endian', npy(header('>f4', '(6,)'), floats), /dtype is '>f4'; '<f2', '<f4' and '<f8'/],
  ['integers', npy(header('<i8', '(3,)'), floats), /dtype is '<i8'/],
  ['Python objects', npy(header('|O', '(3,)'), floats), /dtype is '\|O'/],
  ['a structured dtype', npy(`{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (6,), }`, floats), /it must give descr, fortran_order and shape/],
  ['a missing key', npy(`{'descr': '<f4', 'shape': (6,), }`, floats), /it must give descr/],
  ['a repeated key', npy(`{'descr': '<f4', 'descr': '<f8', 'fortran_order': False, 'shape': (6,), }`, floats), /header has the key 'descr' twice/],
  ['no dictionary', npy('print(1)', floats), /it must be a Python dictionary/],
  ['a broken shape', npy(header('<f4', '(2 3)'), floats), /it must be a tuple of integers/],
  ['too little data', npy(header('<f4', '(7,)'), floats), /holds 24 bytes of data; shape \[7\] of '<f4' takes 28/],
  ['too much data', npy(header('<f4', '(5,)'), floats), /holds 24 bytes of data; shape \[5\] of '<f4' takes 20/],
  ['a shape whose size overflows', npy(header('<f4', '(9007199254740991, 9007199254740991)'), floats), /holds 24 bytes of data/],
])('%s is an ERR_FORMAT that names the file', async (_, bytes, message) => {
  const file = folder.file('bad.npy', bytes as Buffer);
  const error = await io.loadNpy(file).then(
    () => null,
    (reason) => reason,
  );
  expect(error).toMatchObject({ code: 'ERR_FORMAT', message: expect.stringMatching(message as RegExp) });
  expect(error.message.startsWith(`${file}: `)).toBe(true);
});

test.each([
  [[1, 2], [2], 'ERR_DTYPE', /data is \[1, 2\]; it must be a Float32Array/],
  [Float32Array.of(1, 2), [3], 'ERR_SHAPE', /shape \[3\] holds 3 values; data has 2/],
  [Float32Array.of(1, 2), [-2], 'ERR_SHAPE', /shape is \[-2\]/],
])('saving %p with shape %p is refused', async (data, shape, code, message) => {
  await expect(io.saveNpy(folder.file('never.npy'), data as never, shape)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  expect(folder.list()).not.toContain('never.npy');
});
