import { PickleTruncated, Refusal } from './refusal.js';

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
/** Bytes of the longest integer that is read. */
const mostDigits = 1024;

/** Reads the operands of a pickle: little-endian, as the format has them. */
export class PickleReader {
  at = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Moves on by `length` bytes and returns where they begin. */
  #take(length: number): number {
    const from = this.at;
    if (length > this.#bytes.length - from) throw new PickleTruncated();
    this.at += length;
    return from;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  i32(): number {
    return this.#view.getInt32(this.#take(4), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  /** A length of 64 bits. */
  size64(): number {
    const value = this.#view.getBigUint64(this.#take(8), true);
    if (value > 0x7fffffffn) throw new Refusal(`has a value of ${value} bytes`);
    return Number(value);
  }

  /** The one number that is big-endian. */
  f64(): number {
    return this.#view.getFloat64(this.#take(8), false);
  }

  bytes(length: number): Uint8Array {
    const from = this.#take(length);
    return this.#bytes.subarray(from, from + length);
  }

  text(length: number): string {
    return utf8(this.bytes(length));
  }

  /** A signed integer of `length` bytes. */
  integer(length: number): number | bigint {
    if (length < 0 || length > mostDigits) throw new Refusal(`has an integer of ${length} bytes; at most ${mostDigits} are allowed`);
    if (length === 0) return 0;
    const value = BigInt.asIntN(length * 8, BigInt(`0x${Buffer.from(this.bytes(length)).reverse().toString('hex')}`));
    return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
  }

  /** The text up to the next line feed, which is passed over. */
  line(): string {
    const end = this.#bytes.indexOf(0x0a, this.at);
    if (end < 0) throw new PickleTruncated();
    const line = this.bytes(end - this.at);
    this.at++;
    return utf8(line);
  }
}

function utf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new Refusal('has text that is not valid UTF-8');
  }
}
