import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { DType } from '../../lib/dtype';

const folder = path.join(__dirname, '..', 'golden');

/** A tensor of a golden file: its values as numbers, and its stored dtype. */
export interface GoldenTensor {
  shape: number[];
  dtype: DType | 'float64';
  data: Float64Array;
}

/** One case of torch.json. */
export interface GoldenCase {
  name: string;
  op: string;
  tensors: string[];
  shape?: number[];
  dim?: number | null;
  axes?: number[];
  dtype?: 'f32' | 'f16' | 'bf16';
  module?: string;
  options?: Record<string, unknown>;
  activation?: string;
  slope?: number;
}

export const dtypeOf = { f32: 'float32', f16: 'float16', bf16: 'bfloat16' } as const;

/** Independent of the library's own reader on purpose. */
export function readGolden(file: string): Map<string, GoldenTensor> {
  const bytes = readFileSync(path.join(folder, file));
  const headerLength = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, 8 + headerLength).toString('utf8'));
  const tensors = new Map<string, GoldenTensor>();
  for (const [name, entry] of Object.entries<{ dtype: string; shape: number[]; data_offsets: [number, number] }>(header)) {
    if (name === '__metadata__') continue;
    const [start, end] = entry.data_offsets;
    const raw = bytes.subarray(8 + headerLength + start, 8 + headerLength + end);
    const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
    const read: Record<string, [number, (at: number) => number, GoldenTensor['dtype']]> = {
      F32: [4, (at) => view.getFloat32(at, true), 'float32'],
      F64: [8, (at) => view.getFloat64(at, true), 'float64'],
      F16: [2, (at) => halfToNumber(view.getUint16(at, true)), 'float16'],
      BF16: [2, (at) => bfloatToNumber(view.getUint16(at, true)), 'bfloat16'],
    };
    const [size, element, dtype] = read[entry.dtype] as [number, (at: number) => number, GoldenTensor['dtype']];
    tensors.set(name, { shape: entry.shape, dtype, data: Float64Array.from({ length: raw.byteLength / size }, (_, i) => element(i * size)) });
  }
  return tensors;
}

export function goldenCases(): GoldenCase[] {
  return JSON.parse(readFileSync(path.join(folder, 'torch.json'), 'utf8')).cases;
}

function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const mantissa = bits & 0x3ff;
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent === 0 ? mantissa * 2 ** -24 : (1024 + mantissa) * 2 ** (exponent - 25));
}

function bfloatToNumber(bits: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint16(0, bits);
  return view.getFloat32(0);
}
