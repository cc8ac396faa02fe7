import { promisify } from 'node:util';
import zlib from 'node:zlib';
import { describe, fail } from '../errors.js';
import { crc32 } from './crc32.js';
import { decodeUtf8, type InputFile } from './file.js';

/** One file of an archive, as the central directory gives it. */
export interface ZipEntry {
  name: string;
  deflated: boolean;
  crc: number;
  /** Bytes in the archive. */
  packed: number;
  /** Bytes of the content. */
  bytes: number;
  /** Where its local header is. */
  header: number;
  /** Where what follows it in the archive begins: it must end before. */
  limit: number;
}

const signatures = { local: 0x04034b50, central: 0x02014b50, end: 0x06054b50, end64: 0x06064b50, locator64: 0x07064b50 };
const largestDirectory = 1 << 26;
/** Content may be this many times as large as the archive, and as large as this besides. */
const largestRatio = 100;
const alwaysAllowed = 1 << 28;

const inflate = promisify<Uint8Array, zlib.ZlibOptions, Buffer>(zlib.inflateRaw);

/**
 * A zip archive (also zip64) opened for reading. The directory is checked when it is opened: sizes and positions against the
 * file, entries against each other (no overlaps, no name twice), names against what leaves a folder; contents, with their
 * CRC-32, when they are read.
 */
export class ZipArchive {
  readonly file: InputFile;
  readonly entries: ReadonlyMap<string, ZipEntry>;

  private constructor(file: InputFile, entries: ReadonlyMap<string, ZipEntry>) {
    this.file = file;
    this.entries = entries;
  }

  /** Throws ERR_FORMAT, naming file and entry, for an archive that is damaged or made to mislead. */
  static async open(file: InputFile): Promise<ZipArchive> {
    const { offset, bytes, count } = await findDirectory(file);
    if (bytes > largestDirectory) bad(file, `its directory takes ${bytes} bytes; at most ${largestDirectory} are allowed`);
    if (count > bytes / 46) bad(file, `its directory is said to have ${count} entries, but only ${bytes} bytes`);
    const entries = readDirectory(file, await file.read(offset, bytes), count, offset);
    const byName = new Map(entries.map((entry) => [entry.name, entry]));
    if (byName.size !== count) bad(file, `has two entries of the name ${describe(repeated(entries))}`);
    let end = 0;
    for (const [i, entry] of [...entries].sort((a, b) => a.header - b.header).entries()) {
      if (entry.header < end) bad(file, `entry ${describe(entry.name)} overlaps another one`);
      if (i === 0 && entry.header !== 0) bad(file, `has ${entry.header} bytes before its first entry`);
      end = entry.header + 30 + Buffer.byteLength(entry.name) + entry.packed;
      if (end > offset) bad(file, `entry ${describe(entry.name)} says it has ${entry.packed} bytes, past the end of the data`);
    }
    const starts = entries.map(({ header }) => header).sort((a, b) => a - b);
    const next = new Map(starts.map((start, i) => [start, starts[i + 1] ?? offset]));
    for (const entry of entries) entry.limit = next.get(entry.header) as number;
    const content = entries.reduce((sum, entry) => sum + entry.bytes, 0);
    if (content > file.size * largestRatio + alwaysAllowed)
      bad(file, `unpacks to ${content} bytes from ${file.size}; at most ${largestRatio} times its size and ${alwaysAllowed} bytes are allowed`);
    return new ZipArchive(file, byName);
  }

  /** The content of an entry, in a buffer of its own, its CRC-32 checked. */
  async read(entry: ZipEntry): Promise<Uint8Array<ArrayBuffer>> {
    const packed = await this.file.read(await this.#dataOffset(entry), entry.packed);
    const content = entry.deflated ? await this.#inflate(entry, packed) : packed;
    const crc = crc32(content);
    if (crc !== entry.crc) bad(this.file, `entry ${describe(entry.name)} is damaged: its CRC-32 is ${hex(crc)}, not ${hex(entry.crc)}`);
    return content;
  }

  /** At most `length` bytes of the beginning of an entry; its CRC-32 is not checked. */
  async head(entry: ZipEntry, length: number): Promise<Uint8Array<ArrayBuffer>> {
    const packed = await this.file.read(await this.#dataOffset(entry), Math.min(entry.packed, length));
    if (!entry.deflated) return packed;
    const options = { finishFlush: zlib.constants.Z_SYNC_FLUSH, maxOutputLength: Math.max(1, Math.min(entry.bytes, 1100 * length)) };
    const content = await inflate(packed, options).catch((error) => damaged(this.file, entry, error));
    return Uint8Array.from(content.subarray(0, length));
  }

  async #inflate(entry: ZipEntry, packed: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
    const content = await inflate(packed, { maxOutputLength: Math.max(1, entry.bytes) }).catch((error) => damaged(this.file, entry, error));
    if (content.length !== entry.bytes) bad(this.file, `entry ${describe(entry.name)} unpacks to ${content.length} bytes; the directory says ${entry.bytes}`);
    return Uint8Array.from(content);
  }

  /** Where the data of an entry begins. The local header must agree with the directory. */
  async #dataOffset(entry: ZipEntry): Promise<number> {
    const { file } = this;
    const name = Buffer.from(entry.name);
    const local = await file.read(entry.header, 30 + name.length);
    const view = new DataView(local.buffer);
    if (view.getUint32(0, true) !== signatures.local) bad(file, `entry ${describe(entry.name)} has no local header where the directory says`);
    if (view.getUint16(26, true) !== name.length || !name.equals(local.subarray(30)))
      bad(file, `entry ${describe(entry.name)} has another name in its local header`);
    if ((view.getUint16(8, true) === 8) !== entry.deflated) bad(file, `entry ${describe(entry.name)} is packed in another way in its local header`);
    const offset = entry.header + 30 + name.length + view.getUint16(28, true);
    if (offset + entry.packed > entry.limit) bad(file, `entry ${describe(entry.name)} overlaps what follows it`);
    return offset;
  }
}

function bad(file: InputFile, message: string): never {
  fail('ERR_FORMAT', `${file.path}: ${message}`);
}

function damaged(file: InputFile, entry: ZipEntry, error: unknown): never {
  const longer = (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE';
  const why = longer ? `unpacks to more than the ${entry.bytes} bytes that the directory says` : `cannot be unpacked: ${(error as Error).message}`;
  fail('ERR_FORMAT', `${file.path}: entry ${describe(entry.name)} ${why}`, error);
}

function hex(crc: number): string {
  return crc.toString(16).padStart(8, '0');
}

function repeated(entries: readonly ZipEntry[]): string | undefined {
  const seen = new Set<string>();
  return entries.find(({ name }) => seen.size === seen.add(name).size)?.name;
}

/** The central directory's position and size, from the record at the end of the file. */
async function findDirectory(file: InputFile): Promise<{ offset: number; bytes: number; count: number }> {
  const tailStart = Math.max(0, file.size - 22 - 0xffff);
  const tail = await file.read(tailStart, file.size - tailStart);
  const view = new DataView(tail.buffer);
  let at = tail.length - 22;
  // The record ends with a comment that must reach the end of the file.
  while (at >= 0 && !(view.getUint32(at, true) === signatures.end && at + 22 + view.getUint16(at + 20, true) === tail.length)) at--;
  if (at < 0) bad(file, 'is no complete zip archive: its directory at the end is missing, as in a file that was cut short');
  const end = tailStart + at;
  const found = { offset: view.getUint32(at + 16, true), bytes: view.getUint32(at + 12, true), count: view.getUint16(at + 10, true) };
  if (view.getUint16(at + 4, true) !== 0 && view.getUint16(at + 4, true) !== 0xffff) bad(file, 'is one part of a zip archive in several files');
  const located = end >= 20 ? new DataView((await file.read(end - 20, 20)).buffer) : null;
  if (located?.getUint32(0, true) !== signatures.locator64) return checkedDirectory(file, found, end);
  const position = safe(file, located.getBigUint64(8, true), 'position of its zip64 record');
  if (position + 56 > end - 20) bad(file, `its zip64 record is said to begin at byte ${position}, past where it can be`);
  const record = new DataView((await file.read(position, 56)).buffer);
  if (record.getUint32(0, true) !== signatures.end64) bad(file, 'its zip64 record is missing');
  const wide = {
    offset: safe(file, record.getBigUint64(48, true), 'position of its directory'),
    bytes: safe(file, record.getBigUint64(40, true), 'size of its directory'),
    count: safe(file, record.getBigUint64(32, true), 'number of entries'),
  };
  const agree = (narrow: number, value: number, full: number): boolean => narrow === full || narrow === value;
  if (!agree(found.offset, wide.offset, 0xffffffff) || !agree(found.bytes, wide.bytes, 0xffffffff) || !agree(found.count, wide.count, 0xffff))
    bad(file, 'its two end records contradict each other');
  return checkedDirectory(file, wide, position);
}

function checkedDirectory<T extends { offset: number; bytes: number }>(file: InputFile, directory: T, end: number): T {
  if (directory.offset + directory.bytes !== end)
    bad(file, `its directory is said to be at bytes ${directory.offset} to ${directory.offset + directory.bytes}; it must end at byte ${end}`);
  return directory;
}

function safe(file: InputFile, value: bigint, what: string): number {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : bad(file, `the ${what} is ${value}`);
}

function readDirectory(file: InputFile, bytes: Uint8Array<ArrayBuffer>, count: number, dataEnd: number): ZipEntry[] {
  const view = new DataView(bytes.buffer);
  const entries: ZipEntry[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + 46 > bytes.length || view.getUint32(at, true) !== signatures.central) bad(file, `entry ${i} of its directory is broken`);
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((field) => view.getUint16(at + field, true)) as [number, number, number];
    const end = at + 46 + nameLength + extraLength + commentLength;
    if (end > bytes.length) bad(file, `entry ${i} of its directory goes past its end`);
    const name = checkName(file, decodeUtf8(bytes.subarray(at + 46, at + 46 + nameLength), `${file.path}: name of entry ${i}`));
    const flags = view.getUint16(at + 8, true);
    if (flags & 0x2041) bad(file, `entry ${describe(name)} is encrypted`);
    const method = view.getUint16(at + 10, true);
    if (method !== 0 && method !== 8) bad(file, `entry ${describe(name)} is packed by method ${method}; only stored and deflated entries can be read`);
    const extra = new DataView(bytes.buffer, at + 46 + nameLength, extraLength);
    const entry = { name, deflated: method === 8, crc: view.getUint32(at + 16, true), ...sizes(file, name, view, at, extra), limit: 0 };
    if (!entry.deflated && entry.packed !== entry.bytes)
      bad(file, `entry ${describe(name)} is stored, but its two sizes, ${entry.packed} and ${entry.bytes}, differ`);
    if (entry.header + 30 + nameLength + entry.packed > dataEnd)
      bad(file, `entry ${describe(name)} says it has ${entry.packed} bytes from byte ${entry.header} on, past the end of the data`);
    entries.push(entry);
    at = end;
  }
  if (at !== bytes.length) bad(file, `its directory has ${bytes.length - at} bytes after its ${count} entries`);
  return entries;
}

/** Sizes and position of an entry; those that do not fit 32 bits are in the zip64 field, in this order. */
function sizes(file: InputFile, name: string, view: DataView, at: number, extra: DataView): Pick<ZipEntry, 'bytes' | 'packed' | 'header'> {
  const narrow = [view.getUint32(at + 24, true), view.getUint32(at + 20, true), view.getUint32(at + 42, true)];
  let wide: DataView | null = null;
  for (let field = 0; field + 4 <= extra.byteLength; field += 4 + extra.getUint16(field + 2, true)) {
    const length = Math.min(extra.getUint16(field + 2, true), extra.byteLength - field - 4);
    if (extra.getUint16(field, true) === 1) wide = new DataView(extra.buffer, extra.byteOffset + field + 4, length);
  }
  let taken = 0;
  const [bytes, packed, header] = narrow.map((value) => {
    if (value !== 0xffffffff) return value;
    if (!wide || taken + 8 > wide.byteLength) return bad(file, `entry ${describe(name)} lacks its zip64 sizes`);
    taken += 8;
    return safe(file, wide.getBigUint64(taken - 8, true), `size or position of entry ${describe(name)}`);
  }) as [number, number, number];
  return { bytes, packed, header };
}

/** Entries are never written to disk; still, a name that leaves its folder is a sign of malice. */
function checkName(file: InputFile, name: string): string {
  if (name === '' || name.includes('\0') || name.includes('\\') || name.startsWith('/') || name.split('/').includes('..'))
    bad(file, `has an entry named ${describe(name)}; a name must be a path inside the archive`);
  return name;
}
