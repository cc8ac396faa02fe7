import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** A fresh folder for one spec file, removed after it. */
export function temporaryFolder(): { path: string; file(name: string, content?: Uint8Array | string): string; list(): string[] } {
  const folder = mkdtempSync(path.join(tmpdir(), 'weightnorm-test-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return {
    path: folder,
    file(name, content) {
      const file = path.join(folder, name);
      if (content !== undefined) writeFileSync(file, content);
      return file;
    },
    list: () => readdirSync(folder).sort(),
  };
}

/** Where the methods of every open file are, for spies. */
export async function fileHandlePrototype(): Promise<FileHandle> {
  const probe = await open(__filename);
  await probe.close();
  return Object.getPrototypeOf(probe);
}

export interface Entry {
  dtype: string;
  shape: unknown;
  data_offsets: unknown;
}

/** A safetensors file from any header, right or wrong. */
export function safetensorsBytes(header: string | Record<string, unknown>, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, data]);
}

export interface WavParts {
  format?: number;
  channels?: number;
  sampleRate?: number;
  bits?: number;
  data?: Uint8Array;
  /** What the data chunk says its size is, when that is not the truth. */
  dataSize?: number;
  /** What the RIFF chunk says its size is. */
  riffSize?: number;
  /** Chunks before fmt, each with its padding byte. */
  before?: Uint8Array[];
  fmt?: Uint8Array;
}

export function chunk(name: string, body: Uint8Array, size = body.length): Buffer {
  const head = Buffer.alloc(8);
  head.write(name, 'latin1');
  head.writeUInt32LE(size, 4);
  return Buffer.concat([head, body, Buffer.alloc(body.length % 2)]);
}

export function fmtBody({ format = 1, channels = 1, sampleRate = 16000, bits = 16 }: WavParts): Buffer {
  const body = Buffer.alloc(16);
  body.writeUInt16LE(format, 0);
  body.writeUInt16LE(channels, 2);
  body.writeUInt32LE(sampleRate, 4);
  body.writeUInt32LE(sampleRate * channels * (bits >> 3), 8);
  body.writeUInt16LE(channels * (bits >> 3), 12);
  body.writeUInt16LE(bits, 14);
  return body;
}

/** A WAV file, by default of one 16-bit channel; any part may lie. */
export function wavBytes(parts: WavParts): Buffer {
  const data = parts.data ?? Buffer.alloc(8);
  const body = Buffer.concat([...(parts.before ?? []), chunk('fmt ', parts.fmt ?? fmtBody(parts)), chunk('data', data, parts.dataSize ?? data.length)]);
  const head = Buffer.alloc(12);
  head.write('RIFF', 0, 'latin1');
  head.writeUInt32LE(parts.riffSize ?? 4 + body.length, 4);
  head.write('WAVE', 8, 'latin1');
  return Buffer.concat([head, body]);
}

/** Runs `use` as a user without rights where the tests run as root, whom no permission stops. */
export async function unprivileged<T>(use: () => Promise<T>): Promise<T> {
  if (process.geteuid?.() !== 0) return use();
  process.seteuid?.(65534);
  try {
    return await use();
  } finally {
    process.seteuid?.(0);
  }
}
