import { mkdirSync, readFileSync } from 'node:fs';
import { audio } from 'weightnorm';
import { chunk, fmtBody, temporaryFolder, type WavParts, wavBytes } from '../support/files';

const folder = temporaryFolder();
const subFormat = (code: number, tail = '000000001000800000aa00389b71'): Buffer => {
  const body = Buffer.concat([Buffer.alloc(8), Buffer.alloc(2), Buffer.from(tail, 'hex')]);
  body.writeUInt16LE(22, 0);
  body.writeUInt16LE(code, 8);
  return body;
};
const extensible = (parts: WavParts, code: number, tail?: string) => Buffer.concat([fmtBody({ ...parts, format: 0xfffe }), subFormat(code, tail)]);

describe('readWav', () => {
  test('16-bit PCM', async () => {
    const data = Buffer.from(Int16Array.of(-32768, -1, 0, 1, 16384, 32767).buffer);
    const { sampleRate, channels } = await audio.readWav(folder.file('a.wav', wavBytes({ data, sampleRate: 22050 })));
    expect(sampleRate).toBe(22050);
    expect(channels).toEqual([Float32Array.of(-1, -1 / 32768, 0, 1 / 32768, 0.5, 32767 / 32768)]);
  });

  test('8-bit PCM, which has no sign', async () => {
    const { channels } = await audio.readWav(folder.file('a.wav', wavBytes({ data: Uint8Array.of(0, 127, 128, 192, 255, 1), bits: 8, channels: 2 })));
    expect(channels).toEqual([Float32Array.of(-1, 0, 127 / 128), Float32Array.of(-1 / 128, 0.5, -127 / 128)]);
  });

  test('24-bit PCM', async () => {
    const data = Uint8Array.of(0, 0, 0x80, 0xff, 0xff, 0xff, 0, 0, 0x40, 0xff, 0xff, 0x7f);
    const { channels } = await audio.readWav(folder.file('a.wav', wavBytes({ data, bits: 24 })));
    expect(channels).toEqual([Float32Array.of(-1, -(2 ** -23), 0.5, 1 - 2 ** -23)]);
  });

  test('32-bit PCM', async () => {
    const data = Buffer.from(Int32Array.of(-(2 ** 31), 2 ** 30, -1).buffer);
    const { channels } = await audio.readWav(folder.file('a.wav', wavBytes({ data, bits: 32 })));
    expect(channels).toEqual([Float32Array.of(-1, 0.5, -(2 ** -31))]);
  });

  test.each([
    [32, Buffer.from(Float32Array.of(0.1, -2, 1e-30).buffer)],
    [64, Buffer.from(Float64Array.of(0.1, -2, 1e-30).buffer)],
  ])('%i-bit float', async (bits, data) => {
    const { channels } = await audio.readWav(folder.file('a.wav', wavBytes({ data, bits, format: 3 })));
    expect(channels).toEqual([Float32Array.of(0.1, -2, 1e-30)]);
  });

  test.each([
    [1, 16, Buffer.from(Int16Array.of(1, -1).buffer)],
    [3, 32, Buffer.from(Float32Array.of(1 / 32768, -1 / 32768).buffer)],
  ])('WAVE_FORMAT_EXTENSIBLE of format %i', async (code, bits, data) => {
    const parts = { bits, data, channels: 2 };
    const { channels } = await audio.readWav(folder.file('a.wav', wavBytes({ ...parts, fmt: extensible(parts, code) })));
    expect(channels).toEqual([Float32Array.of(1 / 32768), Float32Array.of(-1 / 32768)]);
  });

  test('7 channels, in more frames than one read takes', async () => {
    const frames = 400_000;
    const values = new Int16Array(7 * frames).map((_, i) => (i * 7919) % 32768);
    const { channels } = await audio.readWav(folder.file('many.wav', wavBytes({ channels: 7, data: Buffer.from(values.buffer) })));
    expect(channels.length).toBe(7);
    let wrong = 0;
    channels.forEach((channel, c) => channel.forEach((value, i) => (wrong += Number(value !== (values[i * 7 + c] as number) / 32768))));
    expect(wrong).toBe(0);
  });

  test('odd chunks before the data, and whatever follows it, are passed over', async () => {
    const data = Buffer.from(Int16Array.of(5).buffer);
    const bytes = wavBytes({ data, before: [chunk('LIST', Buffer.from('odd')), chunk('junk', Buffer.alloc(1))] });
    const longer = Buffer.concat([bytes, Buffer.from('trailing junk')]);
    expect((await audio.readWav(folder.file('a.wav', longer))).channels).toEqual([Float32Array.of(5 / 32768)]);
  });

  test.each<[string, Buffer, RegExp]>([
    ['0 bytes', Buffer.alloc(0), /is 0 bytes long; that is too short/],
    ['another format', Buffer.from('ID3\x04 something that is no sound at all'), /starts with "ID3/],
    ['big-endian RIFX', Buffer.concat([Buffer.from('RIFX'), wavBytes({}).subarray(4)]), /starts with "RIFX" and "WAVE"/],
    ['64-bit RF64', Buffer.concat([Buffer.from('RF64'), wavBytes({}).subarray(4)]), /starts with "RF64"/],
    [
      'data longer than the file',
      wavBytes({ dataSize: 1 << 20 }),
      /its chunk "data" says it has 1048576 bytes, but only 8 follow: it was cut short or never finished/,
    ],
    [
      'a stream that was never finished',
      wavBytes({ dataSize: 0xffffffff, riffSize: 0xffffffff }),
      /its header says it is 4294967303 bytes long, but it has 52/,
    ],
    ['a stream of unknown data size', wavBytes({ dataSize: 0xffffffff }), /its chunk "data" says it has 4294967295 bytes/],
    ['a file cut short', wavBytes({ data: Buffer.alloc(100) }).subarray(0, 90), /its header says it is 144 bytes long, but it has 90/],
    ['data past the RIFF chunk', wavBytes({ riffSize: 38 }), /its chunk "data" says it has 8 bytes, but only 2 follow/],
    ['0 samples', wavBytes({ data: Buffer.alloc(0) }), /has no samples/],
    ['half a frame', wavBytes({ data: Buffer.alloc(6), channels: 2 }), /its data has 6 bytes; whole frames take 4 each/],
    ['12-bit PCM', wavBytes({ bits: 12 }), /has 12-bit PCM samples; PCM of 8, 16, 24 or 32 bits and float of 32 or 64 bits are allowed/],
    ['16-bit float', wavBytes({ bits: 16, format: 3 }), /has 16-bit float samples/],
    ['A-law', wavBytes({ bits: 8, format: 6 }), /is encoded as A-law; PCM of 8/],
    ['µ-law', wavBytes({ bits: 8, format: 7 }), /is encoded as µ-law/],
    ['an unknown format', wavBytes({ format: 0x1234 }), /is encoded as format 4660/],
    ['an unknown sub-format', wavBytes({ fmt: extensible({}, 1, 'ff000000001000800000aa00389b') }), /has an unknown sub-format/],
    ['A-law as a sub-format', wavBytes({ fmt: extensible({ bits: 8 }, 6) }), /is encoded as A-law/],
    ['an extensible format cut short', wavBytes({ fmt: fmtBody({ format: 0xfffe }) }), /its extensible "fmt " chunk has 16 bytes; 40 are needed/],
    ['a format cut short', wavBytes({ fmt: fmtBody({}).subarray(0, 14) }), /its "fmt " chunk has 14 bytes; at least 16/],
    ['0 channels', wavBytes({ channels: 0 }), /says it has 0 channels/],
    ['a sample rate of 0', wavBytes({ sampleRate: 0 }), /says its sample rate is 0/],
    [
      'a frame size that lies',
      wavBytes({ fmt: Buffer.concat([fmtBody({}).subarray(0, 12), Buffer.from([7, 0, 16, 0])]) }),
      /says a frame takes 7 bytes; 1 channels of 16 bits take 2/,
    ],
    ['two formats', wavBytes({ before: [chunk('fmt ', fmtBody({}))] }), /has two "fmt " chunks/],
    ['data before the format', wavBytes({ before: [chunk('data', Buffer.alloc(4))] }), /has no "fmt " chunk before its data/],
    ['no data', Buffer.concat([Buffer.from('RIFF\x1c\0\0\0WAVE', 'latin1'), chunk('fmt ', fmtBody({}))]), /has no "data" chunk/],
  ])('%s is an ERR_FORMAT that names the file', async (_, bytes, message) => {
    const file = folder.file('bad.wav', bytes);
    const error = await audio.readWav(file).then(
      () => null,
      (reason) => reason,
    );
    expect(error).toMatchObject({ name: 'WeightNormError', code: 'ERR_FORMAT' });
    expect(error.message).toMatch(message);
    expect(error.message.startsWith(`${file}: `)).toBe(true);
  });

  test('a missing file and a directory are ERR_IO', async () => {
    await expect(audio.readWav(folder.file('missing.wav'))).rejects.toMatchObject({
      code: 'ERR_IO',
      message: expect.stringMatching(/missing\.wav: cannot be opened: there is no such file/),
    });
    const directory = folder.file('directory.wav');
    mkdirSync(directory);
    await expect(audio.readWav(directory)).rejects.toMatchObject({ code: 'ERR_IO', message: expect.stringMatching(/it is a directory/) });
  });
});

describe('writeWav', () => {
  test('reading a 16-bit file and writing it again gives the same bytes', async () => {
    const source = 'examples/voice/sample-1.wav';
    const { sampleRate, channels } = await audio.readWav(source);
    const copy = folder.file('copy.wav');
    await audio.writeWav(copy, channels[0] as Float32Array, sampleRate);
    expect(readFileSync(copy).equals(readFileSync(source))).toBe(true);
  });

  test('16-bit samples are rounded to nearest and clamped', async () => {
    const file = folder.file('clamp.wav');
    await audio.writeWav(file, Float32Array.of(2, 1, -1, -7, 0.6 / 32768, -0.6 / 32768, 0.4 / 32768), 8000);
    expect(Int16Array.from({ length: 7 }, (_, i) => readFileSync(file).readInt16LE(44 + 2 * i))).toEqual(Int16Array.of(32767, 32767, -32768, -32768, 1, -1, 0));
  });

  test('float32 keeps two channels exactly, over more frames than one write takes', async () => {
    const file = folder.file('float.wav');
    const left = new Float32Array(600_000).map((_, i) => Math.sin(i) * 3);
    const right = left.map((value) => -value / 7);
    await audio.writeWav(file, [left, right], 48000, { format: 'float32' });
    const { sampleRate, channels } = await audio.readWav(file);
    expect(sampleRate).toBe(48000);
    const bytes = (values: Float32Array): Buffer => Buffer.from(values.buffer, values.byteOffset, values.byteLength);
    expect(bytes(channels[0] as Float32Array).equals(bytes(left))).toBe(true);
    expect(bytes(channels[1] as Float32Array).equals(bytes(right))).toBe(true);
  });

  test.each([
    ['no samples', [new Float32Array(0), 16000], 'ERR_SHAPE', /samples is empty/],
    ['no channels', [[], 16000], 'ERR_SHAPE', /samples has 0 channels/],
    ['channels of different lengths', [[Float32Array.of(1), Float32Array.of(1, 2)], 16000], 'ERR_SHAPE', /channel 1 has 2 samples, channel 0 has 1/],
    ['numbers', [[1, 2, 3], 16000], 'ERR_DTYPE', /samples is 1; it must be a Float32Array/],
    ['NaN', [Float32Array.of(0, Number.NaN), 16000], 'ERR_ARGUMENT', /sample 1 of channel 0 is NaN; samples must be finite/],
    ['a sample rate of 0', [Float32Array.of(0), 0], 'ERR_ARGUMENT', /sampleRate is 0/],
    ['a fractional sample rate', [Float32Array.of(0), 44100.5], 'ERR_ARGUMENT', /sampleRate is 44100.5/],
    ['an unknown format', [Float32Array.of(0), 16000, { format: 'mp3' }], 'ERR_ARGUMENT', /format is "mp3"; it must be 'pcm16' or 'float32'/],
  ])('%s: refused, and no file appears', async (_, [samples, rate, options], code, message) => {
    await expect(audio.writeWav(folder.file('never.wav'), samples as never, rate as never, options as never)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
    expect(folder.list()).not.toContain('never.wav');
  });
});
