import zlib from 'node:zlib';

/** One entry of an archive under construction; what is not said is true. */
export interface ZipPart {
  name: string;
  data: Uint8Array;
  deflate?: boolean;
  /** What the records say instead of the truth. */
  lies?: { crc?: number; packed?: number; bytes?: number; header?: number; method?: number; flags?: number; localName?: string };
  /** Sizes and position in a zip64 field. */
  zip64?: boolean;
  /** Bytes of padding in the local header's extra field, as torch aligns its storages. */
  padding?: number;
  /** Left out of the directory. */
  hidden?: boolean;
}

export interface ZipTail {
  /** Entries that the end record counts. */
  count?: number;
  directoryBytes?: number;
  directoryOffset?: number;
  zip64?: boolean;
  comment?: string;
}

/** The CRC-32 of zlib itself, from the trailer of a gzip stream. */
export function crc32Of(data: Uint8Array): number {
  const packed = zlib.gzipSync(data);
  return packed.readUInt32LE(packed.length - 8);
}

/** A zip archive written by hand, so that any part of it may lie. */
export function zipBytes(parts: readonly ZipPart[], tail: ZipTail = {}): Buffer {
  const body: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const part of parts) {
    const packed = part.deflate ? zlib.deflateRawSync(part.data) : Buffer.from(part.data);
    const lies = part.lies ?? {};
    const fields = {
      crc: lies.crc ?? crc32Of(part.data),
      packed: lies.packed ?? packed.length,
      bytes: lies.bytes ?? part.data.length,
      header: lies.header ?? offset,
      method: lies.method ?? (part.deflate ? 8 : 0),
      flags: lies.flags ?? 0,
    };
    const localName = Buffer.from(lies.localName ?? part.name);
    const padding = Buffer.alloc(part.padding ?? 0);
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(fields.flags, 6);
    local.writeUInt16LE(fields.method, 8);
    local.writeUInt16LE(localName.length, 26);
    local.writeUInt16LE(padding.length, 28);
    body.push(local, localName, padding, packed);
    if (!part.hidden) directory.push(centralRecord(part, fields));
    offset += 30 + localName.length + padding.length + packed.length;
  }
  const central = Buffer.concat(directory);
  const count = tail.count ?? directory.length;
  const bytes = tail.directoryBytes ?? central.length;
  const at = tail.directoryOffset ?? offset;
  const comment = Buffer.from(tail.comment ?? '');
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(tail.zip64 ? 0xffff : count, 8);
  end.writeUInt16LE(tail.zip64 ? 0xffff : count, 10);
  end.writeUInt32LE(tail.zip64 ? 0xffffffff : bytes, 12);
  end.writeUInt32LE(tail.zip64 ? 0xffffffff : at, 16);
  end.writeUInt16LE(comment.length, 20);
  return Buffer.concat([...body, central, ...(tail.zip64 ? [end64(count, bytes, at, offset + central.length)] : []), end, comment]);
}

type Fields = Record<'crc' | 'packed' | 'bytes' | 'header' | 'method' | 'flags', number>;

function centralRecord(part: ZipPart, fields: Fields): Buffer {
  const name = Buffer.from(part.name);
  const extra = part.zip64 ? Buffer.alloc(28) : Buffer.alloc(0);
  if (part.zip64) {
    extra.writeUInt16LE(1, 0);
    extra.writeUInt16LE(24, 2);
    extra.writeBigUInt64LE(BigInt(fields.bytes), 4);
    extra.writeBigUInt64LE(BigInt(fields.packed), 12);
    extra.writeBigUInt64LE(BigInt(fields.header), 20);
  }
  const narrow = (value: number): number => (part.zip64 ? 0xffffffff : value);
  const record = Buffer.alloc(46);
  record.writeUInt32LE(0x02014b50, 0);
  record.writeUInt16LE(fields.flags, 8);
  record.writeUInt16LE(fields.method, 10);
  record.writeUInt32LE(fields.crc, 16);
  record.writeUInt32LE(narrow(fields.packed), 20);
  record.writeUInt32LE(narrow(fields.bytes), 24);
  record.writeUInt16LE(name.length, 28);
  record.writeUInt16LE(extra.length, 30);
  record.writeUInt32LE(narrow(fields.header), 42);
  return Buffer.concat([record, name, extra]);
}

function end64(count: number, bytes: number, at: number, position: number): Buffer {
  const record = Buffer.alloc(56);
  record.writeUInt32LE(0x06064b50, 0);
  record.writeBigUInt64LE(44n, 4);
  record.writeBigUInt64LE(BigInt(count), 24);
  record.writeBigUInt64LE(BigInt(count), 32);
  record.writeBigUInt64LE(BigInt(bytes), 40);
  record.writeBigUInt64LE(BigInt(at), 48);
  const locator = Buffer.alloc(20);
  locator.writeUInt32LE(0x07064b50, 0);
  locator.writeBigUInt64LE(BigInt(position), 8);
  locator.writeUInt32LE(1, 16);
  return Buffer.concat([record, locator]);
}
