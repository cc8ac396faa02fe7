import { describe } from '../../errors.js';
import { elementBytes } from '../stored.js';
import { elementsOf } from '../strided.js';
import { Refusal } from './refusal.js';

/** torch's storage classes and the safetensors names of their dtypes. */
export const storageDtypes: Readonly<Record<string, string>> = {
  FloatStorage: 'F32',
  DoubleStorage: 'F64',
  HalfStorage: 'F16',
  BFloat16Storage: 'BF16',
  LongStorage: 'I64',
  IntStorage: 'I32',
  ShortStorage: 'I16',
  CharStorage: 'I8',
  ByteStorage: 'U8',
  BoolStorage: 'BOOL',
  ComplexFloatStorage: 'C64',
};

/** torch's dtypes and their safetensors names. */
export const dtypeNames: Readonly<Record<string, string>> = {
  float32: 'F32',
  float64: 'F64',
  float16: 'F16',
  bfloat16: 'BF16',
  int64: 'I64',
  int32: 'I32',
  int16: 'I16',
  int8: 'I8',
  uint8: 'U8',
  uint16: 'U16',
  uint32: 'U32',
  uint64: 'U64',
  bool: 'BOOL',
  complex64: 'C64',
  float8_e4m3fn: 'F8_E4M3',
  float8_e5m2: 'F8_E5M2',
  float8_e8m0fnu: 'F8_E8M0',
};

/** Bytes that tensors share, by the key under which the file holds them. */
export interface TorchStorage {
  key: string;
  /** Null for bytes without a dtype of their own. */
  dtype: string | null;
  bytes: number;
}

/** A class of storages that a pickle names. */
export class StorageClass {
  readonly dtype: string | null;

  constructor(dtype: string | null) {
    this.dtype = dtype;
  }
}

/** A dtype that a pickle names. */
export class TorchDtype {
  readonly name: string;
  readonly stored: string;

  constructor(name: string, stored: string) {
    this.name = name;
    this.stored = stored;
  }
}

/** A tensor as a file describes it: a view of a storage, all of it inside. Offsets and strides count elements. */
export class TorchTensor {
  readonly storage: TorchStorage;
  readonly dtype: string;
  readonly start: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];

  /** Throws a Refusal for numbers that are no view of the storage. */
  constructor(storage: unknown, dtype: string | null, start: unknown, shape: unknown, strides: unknown) {
    const { dtype: own = null, bytes = 0, key = '' } = (storage instanceof StorageRef ? storage : {}) as Partial<TorchStorage>;
    if (!(storage instanceof StorageRef)) throw new Refusal(`makes a tensor of ${describe(storage)}, which is no storage`);
    const stored = dtype ?? own;
    if (stored === null || (own !== null && own !== stored)) throw new Refusal(`makes a tensor of ${stored} from a storage of ${own ?? 'plain bytes'}`);
    if (!isCounts(shape) || shape.length > 64) throw new Refusal(`makes a tensor of shape ${describe(shape)}; it must be integers of at least 0`);
    if (!isCounts(strides) || strides.length !== shape.length)
      throw new Refusal(`makes a tensor of strides ${describe(strides)}; they must be as many integers of at least 0 as the shape [${shape.join(', ')}] has`);
    if (!isCount(start)) throw new Refusal(`makes a tensor that starts at ${describe(start)}; it must be an integer of at least 0`);
    // Sums and products past 2^53 are inexact, but then they are past any storage.
    const last = shape.reduce((sum, dim, axis) => sum + (dim - 1) * (strides[axis] as number), start);
    const available = bytes / (elementBytes[stored] as number);
    if (elementsOf(shape) > 0 && last >= available) {
      throw new Refusal(
        `makes a tensor of shape [${shape.join(', ')}], strides [${strides.join(', ')}] and offset ${start} that reaches element ${last} of storage ${describe(key)}, which has ${available}`,
      );
    }
    this.storage = storage;
    this.dtype = stored;
    this.start = start;
    this.shape = [...shape];
    this.strides = [...strides];
  }

  get bytes(): number {
    return elementsOf(this.shape) * (elementBytes[this.dtype] as number);
  }
}

/** A storage that a persistent id named. */
export class StorageRef implements TorchStorage {
  readonly key: string;
  readonly dtype: string | null;
  readonly bytes: number;

  constructor(key: string, dtype: string | null, bytes: number) {
    this.key = key;
    this.dtype = dtype;
    this.bytes = bytes;
  }
}

/**
 * The storages of one file: `('storage', class, key, location, size)` is the persistent id of each, with a sixth element, always
 * None, in files of torch before 1.6.
 */
export class TorchStorages {
  readonly byKey = new Map<string, StorageRef>();

  persistent(id: unknown): StorageRef {
    if (!Array.isArray(id) || id[0] !== 'storage' || id.length < 5 || id.length > 6) throw new Refusal(`has a persistent id of ${describe(id)}`);
    const [, type, key, , size, view = null] = id as unknown[];
    if (!(type instanceof StorageClass) || typeof key !== 'string' || !isCount(size)) throw new Refusal(`describes a storage by ${describe(id)}`);
    if (view !== null) throw new Refusal(`has a storage, ${describe(key)}, that is a view of another one`);
    const bytes = size * (type.dtype === null ? 1 : (elementBytes[type.dtype] as number));
    if (!Number.isSafeInteger(bytes)) throw new Refusal(`has a storage, ${describe(key)}, of ${size} elements`);
    const known = this.byKey.get(key);
    if (known && (known.dtype !== type.dtype || known.bytes !== bytes)) throw new Refusal(`describes storage ${describe(key)} in two ways`);
    const storage = known ?? new StorageRef(key, type.dtype, bytes);
    this.byKey.set(key, storage);
    return storage;
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every(isCount);
}
