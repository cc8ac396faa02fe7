/** How a sample is stored: little-endian, unsigned integer of 1 byte, signed integer of 2, 3 or 4, or float of 4 or 8. */
export interface SampleFormat {
  float: boolean;
  bytes: number;
}

function reader({ float, bytes }: SampleFormat): (view: DataView, at: number) => number {
  if (float) return bytes === 4 ? (view, at) => view.getFloat32(at, true) : (view, at) => view.getFloat64(at, true);
  if (bytes === 1) return (view, at) => (view.getUint8(at) - 128) / 2 ** 7;
  if (bytes === 2) return (view, at) => view.getInt16(at, true) / 2 ** 15;
  if (bytes === 3) return (view, at) => (view.getInt8(at + 2) * 65536 + view.getUint16(at, true)) / 2 ** 23;
  return (view, at) => view.getInt32(at, true) / 2 ** 31;
}

/** Splits interleaved frames into `channels`, from frame `first` on. */
export function decodeFrames(block: Uint8Array, format: SampleFormat, channels: readonly Float32Array[], first: number): void {
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  const read = reader(format);
  const frames = block.length / (format.bytes * channels.length);
  channels.forEach((channel, c) => {
    for (let i = 0; i < frames; i++) channel[first + i] = read(view, (i * channels.length + c) * format.bytes);
  });
}

/** Interleaves frames `begin` to `end` of `channels`; 16-bit samples are rounded to nearest and clamped. */
export function encodeFrames(channels: readonly Float32Array[], format: SampleFormat, begin: number, end: number): Uint8Array {
  const bytes = new Uint8Array((end - begin) * channels.length * format.bytes);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (let i = begin; i < end; i++) {
    for (const channel of channels) {
      const value = channel[i] as number;
      if (format.float) view.setFloat32(at, value, true);
      else view.setInt16(at, Math.max(-32768, Math.min(32767, Math.round(value * 32768))), true);
      at += format.bytes;
    }
  }
  return bytes;
}
