import { describe, fail } from '../errors.js';
import { decodeUtf8, type InputFile } from './file.js';
import { parseJson } from './json.js';
import { elementBytes, type StoredTensor } from './stored.js';

/** What a safetensors file says before its data. */
export interface SafetensorsHeader {
  /** In the order of their data. */
  tensors: StoredTensor[];
  metadata: Record<string, string> | null;
}

/** The largest header that is read; the format's reference implementation has the same limit. */
const largestHeader = 100_000_000;

/**
 * Reads and checks a header: lengths, offsets, dtypes and shapes agree with each other and with the file's size, no key
 * occurs twice, and the data is covered without overlap or gap. Anything else throws ERR_FORMAT naming file and tensor.
 */
export async function readHeader(file: InputFile): Promise<SafetensorsHeader> {
  const bad = (message: string): never => fail('ERR_FORMAT', `${file.path}: ${message}`);
  if (file.size < 8) bad(`is ${file.size} bytes long; a safetensors file starts with 8 bytes of header length`);
  const prefix = await file.read(0, 8);
  const length = new DataView(prefix.buffer).getBigUint64(0, true);
  if (length > BigInt(largestHeader)) bad(`header length is ${length}; at most ${largestHeader} bytes are allowed`);
  const start = 8 + Number(length);
  if (start > file.size) bad(`header length is ${length}, but only ${file.size - 8} bytes follow`);
  const what = `${file.path}: header`;
  const header = parseJson(decodeUtf8(await file.read(8, Number(length)), what), what);
  if (!isRecord(header)) bad(`header is ${describe(header)}; it must be an object`);
  const tensors: StoredTensor[] = [];
  let metadata: SafetensorsHeader['metadata'] = null;
  for (const [name, entry] of Object.entries(header as Record<string, unknown>)) {
    if (name === '__metadata__') metadata = checkMetadata(entry, file.path);
    else tensors.push(checkEntry(name, entry, start, file));
  }
  tensors.sort((a, b) => a.offset - b.offset || a.bytes - b.bytes);
  let end = start;
  let previous = 'the header';
  for (const { name, offset, bytes } of tensors) {
    const tensor = `tensor ${describe(name)}`;
    if (offset < end) bad(`${tensor} overlaps ${previous}: its data starts at byte ${offset - start} of the data, before ${end - start}`);
    if (offset > end) bad(`there are ${offset - end} bytes that belong to no tensor between ${previous} and ${tensor}`);
    end = offset + bytes;
    previous = tensor;
  }
  if (end !== file.size) bad(`${file.size - end} bytes after ${previous} belong to no tensor`);
  return { tensors, metadata };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function checkMetadata(value: unknown, path: string): Record<string, string> {
  if (!isRecord(value) || Object.values(value).some((item) => typeof item !== 'string')) {
    fail('ERR_FORMAT', `${path}: __metadata__ is ${describe(value)}; it must be an object of strings`);
  }
  return value as Record<string, string>;
}

function checkEntry(name: string, entry: unknown, start: number, file: InputFile): StoredTensor {
  const bad = (message: string): never => fail('ERR_FORMAT', `${file.path}: tensor ${describe(name)}: ${message}`);
  if (!isRecord(entry)) return bad(`its entry is ${describe(entry)}; it must be an object`);
  const { dtype, shape, data_offsets: offsets } = entry;
  const itemBytes = typeof dtype === 'string' && Object.hasOwn(elementBytes, dtype) ? elementBytes[dtype] : undefined;
  if (itemBytes === undefined) return bad(`dtype is ${describe(dtype)}; it must be one of ${Object.keys(elementBytes).join(', ')}`);
  if (!isCounts(shape)) return bad(`shape is ${describe(shape)}; it must be an array of integers of at least 0`);
  if (!isCounts(offsets) || offsets.length !== 2) return bad(`data_offsets is ${describe(offsets)}; it must be two integers of at least 0`);
  const [begin, end] = offsets as [number, number];
  const available = file.size - start;
  if (end < begin) bad(`data_offsets is [${begin}, ${end}]; the end must not lie before the beginning`);
  if (end > available) bad(`data_offsets is [${begin}, ${end}], but the file ends after ${available} bytes of data: it is truncated or lies`);
  // A product past 2^53 is inexact, but then it differs from any size that passed the check above.
  const bytes = shape.reduce((product, dim) => product * dim, itemBytes);
  if (bytes !== end - begin) bad(`data_offsets is [${begin}, ${end}], ${end - begin} bytes; shape [${shape.join(', ')}] of ${dtype} takes ${bytes}`);
  return { name, dtype: dtype as string, shape, offset: start + begin, bytes };
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

/** The bytes that open a safetensors file with these tensors, whose data follows in the same order. Padded so that the data starts at a multiple of 8. */
export function encodeHeader(
  tensors: readonly { name: string; dtype: string; shape: readonly number[] }[],
  metadata: Record<string, string> | null,
): Uint8Array {
  const entries: [string, unknown][] = metadata ? [['__metadata__', metadata]] : [];
  let offset = 0;
  for (const { name, dtype, shape } of tensors) {
    const end = offset + shape.reduce((product, dim) => product * dim, elementBytes[dtype] as number);
    entries.push([name, { dtype, shape, data_offsets: [offset, end] }]);
    offset = end;
  }
  const json = new TextEncoder().encode(`{${entries.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(',')}}`);
  const bytes = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(bytes.length - 8), true);
  bytes.set(json, 8);
  return bytes;
}
