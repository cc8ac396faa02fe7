import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync } from 'node:fs';
import { io } from 'weightnorm';
import { safetensorsBytes, temporaryFolder, unprivileged } from '../support/files';

const f32 = (offsets: unknown, shape: unknown = [1]) => ({ dtype: 'F32', shape, data_offsets: offsets });
const data = new Uint8Array(8);

function lengthOnly(length: bigint): Buffer {
  const bytes = Buffer.alloc(64, '{');
  bytes.writeBigUInt64LE(length);
  return bytes;
}

describe('a hostile safetensors file is an ERR_FORMAT that names file and tensor', () => {
  const folder = temporaryFolder();
  const cases: [string, Uint8Array, RegExp][] = [
    ['0 bytes', new Uint8Array(0), /is 0 bytes long; a safetensors file starts with 8 bytes/],
    ['7 bytes', new Uint8Array(7), /is 7 bytes long/],
    ['a header length of 2^63', lengthOnly(2n ** 63n), /header length is 9223372036854775808; at most 100000000/],
    ['a header length of 2^64 - 1', lengthOnly(2n ** 64n - 1n), /header length is 18446744073709551615; at most/],
    ['a header longer than the file', lengthOnly(1000n), /header length is 1000, but only 56 bytes follow/],
    ['a header that is not UTF-8', Buffer.concat([Buffer.from([2, 0, 0, 0, 0, 0, 0, 0]), Buffer.from([0xff, 0xfe])]), /header: is not valid UTF-8/],
    ['a header that is not JSON', safetensorsBytes('{"a": }'), /header: is not valid JSON/],
    ['a header that is no object', safetensorsBytes('[1]'), /header is \[1\]; it must be an object/],
    ['an empty header', safetensorsBytes(''), /is not valid JSON/],
    [
      'two tensors of one name',
      safetensorsBytes(`{"x":${JSON.stringify(f32([0, 4]))},"x":${JSON.stringify(f32([4, 8]))}}`, data),
      /header: has the key "x" twice/,
    ],
    [
      'one name in two escapes',
      safetensorsBytes(`{"x":${JSON.stringify(f32([0, 4]))},"\\u0078" :${JSON.stringify(f32([4, 8]))}}`, data),
      /header: has the key "x" twice/,
    ],
    ['two dtypes of one tensor', safetensorsBytes('{"x":{"dtype":"F32","dtype":"F64","shape":[1],"data_offsets":[0,8]}}', data), /has the key "dtype" twice/],
    ['an entry that is no object', safetensorsBytes({ x: 3 }), /tensor "x": its entry is 3; it must be an object/],
    [
      'an unknown dtype',
      safetensorsBytes({ x: { dtype: 'F31', shape: [1], data_offsets: [0, 8] } }, data),
      /tensor "x": dtype is "F31"; it must be one of BOOL/,
    ],
    [
      'a dtype that is an inherited name',
      safetensorsBytes({ x: { dtype: 'constructor', shape: [1], data_offsets: [0, 8] } }, data),
      /dtype is "constructor"; it must be one of/,
    ],
    ['a dtype that is no text', safetensorsBytes({ x: { dtype: 3, shape: [1], data_offsets: [0, 8] } }, data), /tensor "x": dtype is 3;/],
    [
      'a dtype that does not fit the bytes',
      safetensorsBytes({ x: { dtype: 'F16', shape: [2], data_offsets: [0, 8] } }, data),
      /tensor "x": data_offsets is \[0, 8\], 8 bytes; shape \[2\] of F16 takes 4/,
    ],
    ['a missing shape', safetensorsBytes({ x: { dtype: 'F32', data_offsets: [0, 8] } }, data), /tensor "x": shape is undefined; it must be an array/],
    ['a negative dimension', safetensorsBytes({ x: f32([0, 8], [-2]) }, data), /tensor "x": shape is \[-2\]/],
    ['a fractional dimension', safetensorsBytes({ x: f32([0, 8], [0.5, 4]) }, data), /tensor "x": shape is \[0.5, 4\]/],
    ['a shape whose size overflows', safetensorsBytes({ x: f32([0, 8], [2 ** 52, 2 ** 52, 2]) }, data), /tensor "x": data_offsets is \[0, 8\], 8 bytes; shape/],
    ['negative offsets', safetensorsBytes({ x: f32([-4, 0]) }, data), /tensor "x": data_offsets is \[-4, 0\]; it must be two integers of at least 0/],
    ['offsets past 2^53', safetensorsBytes('{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,9007199254740993]}}', data), /tensor "x": data_offsets is/],
    ['three offsets', safetensorsBytes({ x: f32([0, 4, 8]) }, data), /tensor "x": data_offsets is \[0, 4, 8\]/],
    ['offsets the wrong way round', safetensorsBytes({ x: f32([8, 4]) }, data), /tensor "x": data_offsets is \[8, 4\]; the end must not lie before/],
    [
      'offsets past the end (truncated)',
      safetensorsBytes({ x: f32([0, 12], [3]) }, data),
      /tensor "x": data_offsets is \[0, 12\], but the file ends after 8 bytes of data/,
    ],
    ['overlapping tensors', safetensorsBytes({ x: f32([0, 8], [2]), y: f32([4, 8]) }, data), /tensor "y" overlaps tensor "x"/],
    ['two tensors of the same bytes', safetensorsBytes({ x: f32([0, 8], [2]), y: f32([0, 8], [2]) }, data), /tensor "y" overlaps tensor "x"/],
    ['a gap between tensors', safetensorsBytes({ x: f32([4, 8]) }, data), /there are 4 bytes that belong to no tensor between the header and tensor "x"/],
    ['bytes after the last tensor', safetensorsBytes({ x: f32([0, 4]) }, data), /4 bytes after tensor "x" belong to no tensor/],
    ['metadata that is not text', safetensorsBytes({ __metadata__: { step: 3 } }), /__metadata__ is a Object; it must be an object of strings/],
    ['deeply nested JSON', safetensorsBytes(`{"x":${'['.repeat(200_000)}${']'.repeat(200_000)}}`), /tensor "x": its entry is an array/],
  ];
  test.each(cases)('%s', async (_, bytes, message) => {
    const file = folder.file('hostile.safetensors', bytes);
    const error = await io.loadSafetensors(file).then(
      () => null,
      (reason) => reason,
    );
    expect(error).toMatchObject({ name: 'WeightNormError', code: 'ERR_FORMAT' });
    expect(error.message).toMatch(message);
    expect(error.message.startsWith(`${file}: `)).toBe(true);
    // Folding reads the same header, and writes nothing.
    await expect(io.foldCheckpoint(file, folder.file('folded.safetensors'))).rejects.toMatchObject({ code: 'ERR_FORMAT', message: error.message });
    expect(folder.list()).toEqual(['hostile.safetensors']);
  });
});

describe('a file that cannot be read is an ERR_IO that says why', () => {
  const folder = temporaryFolder();
  chmodSync(folder.path, 0o755);
  test('missing', async () => {
    const file = folder.file('missing.safetensors');
    await expect(io.loadSafetensors(file)).rejects.toMatchObject({
      code: 'ERR_IO',
      message: `${file}: cannot be opened: there is no such file or directory (ENOENT)`,
    });
  });

  test('a directory', async () => {
    const file = folder.file('directory.safetensors');
    mkdirSync(file);
    await expect(io.loadSafetensors(file)).rejects.toMatchObject({ code: 'ERR_IO', message: `${file}: cannot be read: it is a directory` });
  });

  test('no permission', async () => {
    const file = folder.file('secret.safetensors', safetensorsBytes({}));
    chmodSync(file, 0o000);
    await expect(unprivileged(() => io.loadSafetensors(file))).rejects.toMatchObject({
      code: 'ERR_IO',
      message: `${file}: cannot be opened: permission denied (EACCES)`,
    });
  });

  test('a named pipe, without waiting for a writer', async () => {
    const file = folder.file('pipe.safetensors');
    execFileSync('mkfifo', [file]);
    await expect(io.loadSafetensors(file)).rejects.toMatchObject({ code: 'ERR_IO', message: `${file}: cannot be read: it is not a regular file` });
  });

  test.each([[undefined], [''], [3], ['a\0b']])('the path %p', async (path) => {
    await expect(io.loadSafetensors(path as never)).rejects.toMatchObject({
      code: 'ERR_ARGUMENT',
      message: expect.stringMatching(/^path is .*; it must be the path of a file$/),
    });
  });
});
