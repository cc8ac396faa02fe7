/** Bytes of one element of each dtype of the safetensors format that fills whole bytes. */
export const elementBytes: Readonly<Record<string, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  F8_E8M0: 1,
  U16: 2,
  I16: 2,
  F16: 2,
  BF16: 2,
  U32: 4,
  I32: 4,
  F32: 4,
  U64: 8,
  I64: 8,
  F64: 8,
  C64: 8,
};

/** One tensor of a file. */
export interface StoredTensor {
  name: string;
  /** The safetensors format's own name: 'F32', 'BF16', 'I64', … */
  dtype: string;
  shape: number[];
  /** Absolute position in the file, in bytes; in other formats than safetensors, whatever orders the tensors as the file does. */
  offset: number;
  bytes: number;
}

/** A tensor of an open file, whose values can be read: row-major, little-endian. */
export interface OpenTensor extends StoredTensor {
  /** All of its bytes, in a buffer of their own or one that only this library sees. */
  read(): Promise<Uint8Array<ArrayBuffer>>;
  /** The same in pieces, as few in memory at once as the format allows. */
  pieces(): AsyncIterable<Uint8Array>;
}
