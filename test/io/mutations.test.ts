import fc from 'fast-check';
import { audio, Device, io, WeightNormError } from 'weightnorm';
import { chunk, fmtBody, safetensorsBytes, temporaryFolder, wavBytes } from '../support/files';

const folder = temporaryFolder();

/** One change to a file's bytes; positions are taken modulo its length. */
type Mutation =
  | { kind: 'byte'; at: number; value: number }
  | { kind: 'word'; at: number; value: bigint; bytes: number }
  | { kind: 'cut'; at: number; count: number }
  | { kind: 'repeat'; at: number; count: number; times: number }
  | { kind: 'text'; at: number; text: string }
  | { kind: 'end'; at: number };

const telling = [0n, 1n, 127n, 128n, 255n, 65535n, 2n ** 31n - 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];
const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.record({ kind: fc.constant('byte' as const), at: fc.nat(4095), value: fc.nat(255) }),
  fc.record({ kind: fc.constant('word' as const), at: fc.nat(4095), value: fc.constantFrom(...telling), bytes: fc.constantFrom(2, 4, 8) }),
  fc.record({ kind: fc.constant('cut' as const), at: fc.nat(4095), count: fc.integer({ min: 1, max: 64 }) }),
  fc.record({ kind: fc.constant('repeat' as const), at: fc.nat(4095), count: fc.integer({ min: 1, max: 64 }), times: fc.integer({ min: 1, max: 40 }) }),
  fc.record({
    kind: fc.constant('text' as const),
    at: fc.nat(4095),
    text: fc.constantFrom(
      '"',
      '{',
      '}',
      '[',
      '[[',
      ',',
      ':',
      '\\',
      '\\u0000',
      '-',
      '1e999',
      '9007199254740993',
      'null',
      '__proto__',
      '(',
      ')',
      "'",
      'True',
      '\n',
      'F64',
      '<f8',
      '>f4',
    ),
  }),
  fc.record({ kind: fc.constant('end' as const), at: fc.nat(4095) }),
);

function mutate(bytes: Buffer, mutations: readonly Mutation[]): Buffer {
  let now = Buffer.from(bytes);
  for (const m of mutations) {
    if (now.length === 0) break;
    const at = m.at % now.length;
    if (m.kind === 'byte') now[at] = m.value;
    if (m.kind === 'word') for (let i = 0; i < m.bytes && at + i < now.length; i++) now[at + i] = Number((m.value >> BigInt(8 * i)) & 255n);
    if (m.kind === 'cut') now = Buffer.concat([now.subarray(0, at), now.subarray(at + m.count)]);
    if (m.kind === 'repeat') now = Buffer.concat([now.subarray(0, at), ...new Array<Buffer>(m.times).fill(now.subarray(at, at + m.count)), now.subarray(at)]);
    if (m.kind === 'text') now = Buffer.concat([now.subarray(0, at), Buffer.from(m.text, 'latin1'), now.subarray(at + m.text.length)]);
    if (m.kind === 'end') now = now.subarray(0, at);
  }
  return now;
}

const floats = (count: number): Buffer => Buffer.from(Float32Array.from({ length: count }, (_, i) => Math.sin(i)).buffer);
const safetensors = [
  safetensorsBytes(
    {
      'layer.weight_g': { dtype: 'F32', shape: [2, 1, 1], data_offsets: [0, 8] },
      'layer.weight_v': { dtype: 'F32', shape: [2, 3, 2], data_offsets: [8, 56] },
      half: { dtype: 'F16', shape: [4], data_offsets: [56, 64] },
      wide: { dtype: 'F64', shape: [], data_offsets: [64, 72] },
      ids: { dtype: 'I64', shape: [1], data_offsets: [72, 80] },
      __metadata__: { format: 'pt' },
    },
    floats(20),
  ),
  safetensorsBytes({ 'a.parametrizations.weight.original0': { dtype: 'BF16', shape: [2], data_offsets: [0, 4] } }, floats(1)),
].map((bytes) => Buffer.from(bytes));

function npy(header: string, data: Buffer, version = 1): Buffer {
  const body = Buffer.from(`${header.padEnd(117)}\n`, 'latin1');
  const head = version === 1 ? [118, 0] : [118, 0, 0, 0];
  return Buffer.concat([Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, version, 0, ...head]), body, data]);
}
const arrays = [
  npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", floats(6)),
  npy('{"descr": "<f2", "fortran_order": False, "shape": (8,)}', floats(4), 2),
  npy("{'descr': '<f8', 'fortran_order': False, 'shape': (), }", floats(2), 3),
];

const extensible = Buffer.concat([
  fmtBody({ format: 0xfffe, channels: 2, bits: 32 }),
  Buffer.from('160020000300000003000000001000008000 00aa00389b71'.replace(/ /g, ''), 'hex'),
]);
const sounds = [
  wavBytes({ data: Buffer.from(floats(8)), bits: 16, channels: 2 }),
  wavBytes({ format: 3, bits: 32, data: floats(9), before: [chunk('LIST', Buffer.from('INFOISFTodd'))] }),
  wavBytes({ fmt: extensible, data: floats(12) }),
];

/** What a reader may take for a file of a few kilobytes: its numbers, never what its header claims. */
const mostBytes = 2 ** 22;
let counter = 0;

async function holds(files: readonly Buffer[], read: (file: string) => Promise<unknown>): Promise<void> {
  let [refused, accepted] = [0, 0];
  const device = Device.get('cpu');
  const peak = device.memory().peakBytes;
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...files), fc.array(mutation, { maxLength: 6 }), async (bytes, mutations) => {
      const file = folder.file(`mutated-${counter++ % 8}`, mutate(bytes, mutations));
      const before = process.memoryUsage().arrayBuffers;
      try {
        await read(file);
        accepted++;
      } catch (error) {
        refused++;
        if (!(error instanceof WeightNormError)) throw error;
        expect(['ERR_FORMAT', 'ERR_KEYS']).toContain(error.code);
        expect(error.message).toContain('mutated-');
      }
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(mostBytes);
    }),
    { numRuns: 1500 },
  );
  expect(device.memory().peakBytes - peak).toBeLessThan(mostBytes);
  // Both ends of the road are walked.
  expect(refused).toBeGreaterThan(100);
  expect(accepted).toBeGreaterThan(20);
}

test('safetensors with changed bytes: read, or ERR_FORMAT that names the file', async () => {
  await holds(safetensors, async (file) => {
    for (const tensor of (await io.loadSafetensors(file, { device: Device.get('cpu') })).values()) tensor.dispose();
  });
});

test('folding a checkpoint with changed bytes: written, or an error that names the file', async () => {
  await holds(safetensors, (file) => io.foldCheckpoint(file, folder.file('folded.safetensors')));
});

test('.npy with changed bytes: read, or ERR_FORMAT that names the file', async () => {
  await holds(arrays, io.loadNpy);
});

test('WAV with changed bytes: read, or ERR_FORMAT that names the file', async () => {
  await holds(sounds, audio.readWav);
});
