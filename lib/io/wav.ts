import { describe, fail } from '../errors.js';
import { type InputFile, type Write, withInput, writeAtomically } from './file.js';
import { decodeFrames, encodeFrames, type SampleFormat } from './wav-samples.js';

/** Recorded sound: one array of samples a channel, full scale ±1. */
export interface Wav {
  /** Frames a second, in Hz. */
  sampleRate: number;
  channels: Float32Array[];
}

interface Format {
  kind: SampleFormat;
  channels: number;
  sampleRate: number;
}

const encodings: Readonly<Record<number, string>> = { 2: 'MS ADPCM', 6: 'A-law', 7: 'µ-law', 17: 'IMA ADPCM', 80: 'MPEG', 85: 'MP3' };
const allowed = 'PCM of 8, 16, 24 or 32 bits and float of 32 or 64 bits are allowed';
/** Bytes 2 to 15 of WAVE_FORMAT_EXTENSIBLE's sub-format, after the 16-bit format code. */
const subFormatTail = '000000001000800000aa00389b71';
const blockBytes = 1 << 22;

/**
 * Reads a WAV file: PCM of 8 (unsigned), 16, 24 or 32 bits, float of 32 or 64 bits, also as WAVE_FORMAT_EXTENSIBLE, any number of channels.
 * Integers are scaled by 2^(1 − bits).
 * @throws WeightNormError ERR_IO if the file cannot be read; ERR_FORMAT for other encodings, for a header that does not fit the
 *   file (truncated, or a stream that was never finished) and for a file without samples.
 */
export async function readWav(path: string): Promise<Wav> {
  return withInput(path, async (file) => {
    const { format, offset, bytes } = await findData(file);
    const frameBytes = format.kind.bytes * format.channels;
    const frames = bytes / frameBytes;
    const channels = Array.from({ length: format.channels }, () => new Float32Array(frames));
    const block = new Uint8Array(Math.min(bytes, Math.max(1, Math.floor(blockBytes / frameBytes)) * frameBytes));
    for (let done = 0; done < bytes; ) {
      const part = block.subarray(0, Math.min(block.length, bytes - done));
      await file.readInto(part, offset + done);
      decodeFrames(part, format.kind, channels, done / frameBytes);
      done += part.length;
    }
    return { sampleRate: format.sampleRate, channels };
  });
}

/** Walks the chunks up to `data`, checking every size against the file. */
async function findData(file: InputFile): Promise<{ format: Format; offset: number; bytes: number }> {
  const bad = (message: string): never => fail('ERR_FORMAT', `${file.path}: ${message}`);
  if (file.size < 12) bad(`is ${file.size} bytes long; that is too short for a WAV file`);
  const riff = view(await file.read(0, 12));
  const [outer, kind] = [tag(riff, 0), tag(riff, 8)];
  if (outer !== 'RIFF' || kind !== 'WAVE') bad(`starts with ${describe(outer)} and ${describe(kind)}; a WAV file starts with "RIFF" and "WAVE"`);
  const end = 8 + riff.getUint32(4, true);
  if (end > file.size) bad(`its header says it is ${end} bytes long, but it has ${file.size}: it was cut short or never finished`);
  let format: Format | null = null;
  for (let at = 12; at + 8 <= end; ) {
    const chunk = view(await file.read(at, 8));
    const name = tag(chunk, 0);
    const bytes = chunk.getUint32(4, true);
    const offset = at + 8;
    if (offset + bytes > end)
      bad(`its chunk ${describe(name)} says it has ${bytes} bytes, but only ${end - offset} follow: it was cut short or never finished`);
    if (name === 'fmt ') {
      if (format) bad('has two "fmt " chunks');
      if (bytes < 16) bad(`its "fmt " chunk has ${bytes} bytes; at least 16 are needed`);
      format = parseFormat(view(await file.read(offset, Math.min(bytes, 40))), bad);
    } else if (name === 'data') {
      if (!format) return bad('has no "fmt " chunk before its data');
      const frameBytes = format.kind.bytes * format.channels;
      if (bytes === 0) bad('has no samples');
      if (bytes % frameBytes !== 0) bad(`its data has ${bytes} bytes; whole frames take ${frameBytes} each`);
      return { format, offset, bytes };
    }
    // Chunks start at even bytes.
    at = offset + bytes + (bytes % 2);
  }
  return bad('has no "data" chunk');
}

function view(bytes: Uint8Array<ArrayBuffer>): DataView<ArrayBuffer> {
  return new DataView(bytes.buffer);
}

function tag(bytes: DataView<ArrayBuffer>, offset: number): string {
  return Buffer.from(bytes.buffer, offset, 4).toString('latin1');
}

function parseFormat(chunk: DataView<ArrayBuffer>, bad: (message: string) => never): Format {
  let code = chunk.getUint16(0, true);
  const channels = chunk.getUint16(2, true);
  const sampleRate = chunk.getUint32(4, true);
  const frameBytes = chunk.getUint16(12, true);
  const bits = chunk.getUint16(14, true);
  if (code === 0xfffe) {
    if (chunk.byteLength < 40) bad(`its extensible "fmt " chunk has ${chunk.byteLength} bytes; 40 are needed`);
    if (Buffer.from(chunk.buffer, 26, 14).toString('hex') !== subFormatTail) bad(`has an unknown sub-format; ${allowed}`);
    code = chunk.getUint16(24, true);
  }
  const float = code === 3;
  if (code !== 1 && !float) bad(`is encoded as ${encodings[code] ?? `format ${code}`}; ${allowed}`);
  if (!(float ? [32, 64] : [8, 16, 24, 32]).includes(bits)) bad(`has ${bits}-bit ${float ? 'float' : 'PCM'} samples; ${allowed}`);
  if (channels === 0) bad('says it has 0 channels');
  if (sampleRate === 0) bad('says its sample rate is 0');
  if (frameBytes !== (channels * bits) / 8) bad(`says a frame takes ${frameBytes} bytes; ${channels} channels of ${bits} bits take ${(channels * bits) / 8}`);
  return { kind: { float, bytes: bits / 8 }, channels, sampleRate };
}

export interface WriteWavOptions {
  /** Default 'pcm16': values are clamped to ±1. 'float32' keeps them exactly. */
  format?: 'pcm16' | 'float32' | undefined;
}

/**
 * Writes a WAV file, whole or not at all.
 * @param samples full scale ±1; one array, or one for each channel
 * @param sampleRate frames a second, in Hz
 * @throws WeightNormError ERR_IO if the file cannot be written (nothing is left behind), ERR_ARGUMENT for samples that are not finite.
 */
export async function writeWav(
  path: string,
  samples: Float32Array | readonly Float32Array[],
  sampleRate: number,
  options: WriteWavOptions = {},
): Promise<void> {
  const channels = Array.isArray(samples) ? (samples as readonly Float32Array[]) : [samples as Float32Array];
  const kind = formatOf(sampleRate, options);
  if (channels.length < 1 || channels.length > 0xffff) fail('ERR_SHAPE', `samples has ${channels.length} channels; 1 to 65535 are allowed`);
  const frames = channels[0]?.length ?? 0;
  channels.forEach((channel, i) => checkChannel(channel, i, frames, 0));
  if (frames === 0) fail('ERR_SHAPE', 'samples is empty; a WAV file needs at least one');
  const header = wavHeader(kind, channels.length, frames, sampleRate);
  await writeAtomically(path, async (write) => {
    await write(header);
    await writeFrames(write, channels, kind);
    await write(paddingAfter(kind, channels.length, frames));
  });
}

/**
 * Writes a WAV file of one channel while its samples are still being made: each piece is written as it comes, the sizes in the
 * header at the end. The file appears under its name when it is whole, and is then what {@link writeWav} would have written.
 * @param pieces samples, full scale ±1; ending the writing early by an error ends `pieces`
 * @returns how many samples were written
 * @throws WeightNormError what {@link writeWav} throws, and what `pieces` throws; nothing is left behind.
 */
export async function writeWavStream(
  path: string,
  pieces: AsyncIterable<Float32Array> | Iterable<Float32Array>,
  sampleRate: number,
  options: WriteWavOptions = {},
): Promise<number> {
  const kind = formatOf(sampleRate, options);
  let frames = 0;
  await writeAtomically(path, async (write) => {
    await write(wavHeader(kind, 1, 0, sampleRate));
    for await (const piece of pieces) {
      checkChannel(piece, 0, piece.length, frames);
      // Refuses what no header can say before the disk is full of it.
      wavHeader(kind, 1, frames + piece.length, sampleRate);
      await writeFrames(write, [piece], kind);
      frames += piece.length;
    }
    if (frames === 0) fail('ERR_SHAPE', 'samples is empty; a WAV file needs at least one');
    await write(paddingAfter(kind, 1, frames));
    await write(wavHeader(kind, 1, frames, sampleRate), 0);
  });
  return frames;
}

function formatOf(sampleRate: number, options: WriteWavOptions): SampleFormat {
  const format = options.format ?? 'pcm16';
  if (format !== 'pcm16' && format !== 'float32') fail('ERR_ARGUMENT', `format is ${describe(format)}; it must be 'pcm16' or 'float32'`);
  if (!Number.isInteger(sampleRate) || sampleRate < 1 || sampleRate > 0xffffffff)
    fail('ERR_ARGUMENT', `sampleRate is ${describe(sampleRate)}; it must be an integer from 1 to 2^32 - 1`);
  return { float: format === 'float32', bytes: format === 'float32' ? 4 : 2 };
}

/** Checks samples of a channel, of which `before` were checked already. */
function checkChannel(channel: Float32Array, index: number, frames: number, before: number): void {
  if (Object.prototype.toString.call(channel) !== '[object Float32Array]')
    fail('ERR_DTYPE', `samples is ${describe(channel)}; it must be a Float32Array, or an array of them`);
  if (channel.length !== frames) fail('ERR_SHAPE', `channel ${index} has ${channel.length} samples, channel 0 has ${frames}`);
  const strange = channel.findIndex((value) => !Number.isFinite(value));
  if (strange >= 0) fail('ERR_ARGUMENT', `sample ${before + strange} of channel ${index} is ${channel[strange]}; samples must be finite`);
}

async function writeFrames(write: Write, channels: readonly Float32Array[], kind: SampleFormat): Promise<void> {
  const frames = (channels[0] as Float32Array).length;
  const step = Math.max(1, Math.floor(blockBytes / (kind.bytes * channels.length)));
  for (let at = 0; at < frames; at += step) await write(encodeFrames(channels, kind, at, Math.min(at + step, frames)));
}

/** Chunks are of even length. */
function paddingAfter(kind: SampleFormat, channels: number, frames: number): Uint8Array {
  return new Uint8Array((frames * channels * kind.bytes) % 2);
}

function wavHeader(kind: SampleFormat, channels: number, frames: number, sampleRate: number): Uint8Array {
  const frameBytes = kind.bytes * channels;
  const bytes = frames * frameBytes;
  if (bytes > 0xffffffff - 64) fail('ERR_SHAPE', `samples take ${bytes} bytes; a WAV file holds less than 4 GiB`);
  if (frameBytes > 0xffff) fail('ERR_SHAPE', `samples has ${channels} channels; a frame may take 65535 bytes`);
  const header = Buffer.alloc(44);
  header.write('RIFF', 0, 'latin1');
  header.writeUInt32LE(36 + bytes + (bytes % 2), 4);
  header.write('WAVEfmt ', 8, 'latin1');
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(kind.float ? 3 : 1, 20);
  header.writeUInt16LE(channels, 22);
  header.writeUInt32LE(sampleRate, 24);
  header.writeUInt32LE(Math.min(sampleRate * frameBytes, 0xffffffff), 28);
  header.writeUInt16LE(frameBytes, 32);
  header.writeUInt16LE(kind.bytes * 8, 34);
  header.write('data', 36, 'latin1');
  header.writeUInt32LE(bytes, 40);
  return header;
}
