import { type ZipPart, type ZipTail, zipBytes } from './zip-writer';

/** Instructions of a pickle, to be put together by hand. */
export const op = {
  proto: (version = 2): Buffer => Buffer.of(0x80, version),
  stop: Buffer.from('.'),
  mark: Buffer.from('('),
  none: Buffer.from('N'),
  emptyDict: Buffer.from('}'),
  emptyList: Buffer.from(']'),
  emptyTuple: Buffer.from(')'),
  append: Buffer.from('a'),
  appends: Buffer.from('e'),
  setItem: Buffer.from('s'),
  setItems: Buffer.from('u'),
  tuple: Buffer.from('t'),
  reduce: Buffer.from('R'),
  build: Buffer.from('b'),
  persid: Buffer.from('Q'),
  global: (module: string, name: string): Buffer => Buffer.from(`c${module}\n${name}\n`),
  text(value: string): Buffer {
    const bytes = Buffer.from(value);
    const head = Buffer.alloc(5, 'X');
    head.writeUInt32LE(bytes.length, 1);
    return Buffer.concat([head, bytes]);
  },
  int(value: number | bigint): Buffer {
    const bytes = Buffer.alloc(10);
    bytes[0] = 0x8a;
    bytes[1] = 8;
    bytes.writeBigInt64LE(BigInt(value), 2);
    return bytes;
  },
  put: (index: number): Buffer => Buffer.of(0x71, index),
  get: (index: number): Buffer => Buffer.of(0x68, index),
  /** A tuple of the items. */
  tupleOf: (...items: Buffer[]): Buffer => Buffer.concat([op.mark, ...items, op.tuple]),
  dictOf: (...entries: [Buffer, Buffer][]): Buffer => Buffer.concat([op.emptyDict, op.mark, ...entries.flat(), op.setItems]),
};

export interface WrittenTensor {
  /** Key of the storage. */
  storage: string;
  /** torch's name of the storage's class, such as 'FloatStorage'. */
  type: string;
  /** Elements that the storage is said to have. */
  elements: number | bigint;
  start: number | bigint;
  shape: readonly (number | bigint)[];
  strides: readonly (number | bigint)[];
}

/** How torch pickles a tensor. */
export function tensorOp({ storage, type, elements, start, shape, strides }: WrittenTensor): Buffer {
  const id = op.tupleOf(op.text('storage'), op.global('torch', type), op.text(storage), op.text('cpu'), op.int(elements));
  const hooks = Buffer.concat([op.global('collections', 'OrderedDict'), op.emptyTuple, op.reduce]);
  return Buffer.concat([
    op.global('torch._utils', '_rebuild_tensor_v2'),
    op.tupleOf(Buffer.concat([id, op.persid]), op.int(start), op.tupleOf(...shape.map(op.int)), op.tupleOf(...strides.map(op.int)), Buffer.of(0x89), hooks),
    op.reduce,
  ]);
}

export const pickle = (...body: Buffer[]): Buffer => Buffer.concat([op.proto(), ...body, op.stop]);

/** A torch file of a pickle and storages, with entries of the caller's between. */
export function torchBytes(data: Uint8Array, storages: Record<string, Uint8Array> = {}, more: readonly ZipPart[] = [], tail: ZipTail = {}): Buffer {
  const entries = Object.entries(storages).map(([key, bytes], i): ZipPart => ({ name: `archive/data/${key}`, data: bytes, padding: (i * 7) % 64 }));
  return zipBytes([{ name: 'archive/data.pkl', data }, ...more, ...entries, { name: 'archive/version', data: Buffer.from('3\n') }], tail);
}
