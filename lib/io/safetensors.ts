import { Device } from '../device.js';
import { type DType, dtypeCode } from '../dtype.js';
import { describe, fail } from '../errors.js';
import { scope, untracked } from '../scope.js';
import { nativeOf, type Tensor } from '../tensor.js';
import { type InputFile, withInput, writeAtomically } from './file.js';
import { encodeHeader, readHeader, type StoredTensor } from './safetensors-header.js';

export interface LoadOptions {
  /** Default: {@link Device.default}. */
  device?: Device;
  /** Converts every tensor, rounding to nearest even. Default: each keeps its own dtype (F64 becomes float32). */
  dtype?: DType;
}

/** Tensors by name, and the names of those that no dtype of this library can hold. */
export type LoadedTensors = Map<string, Tensor> & { skipped: string[] };

const stored: Readonly<Record<string, DType>> = { F32: 'float32', F16: 'float16', BF16: 'bfloat16', F64: 'float32' };
const formatNames: Readonly<Record<DType, string>> = { float32: 'F32', float16: 'F16', bfloat16: 'BF16' };

/** Whether a stored tensor can become a {@link Tensor}: F32, F16, BF16 or F64, with at least one element. */
export function isLoadable(tensor: StoredTensor): boolean {
  return tensor.dtype in stored && tensor.bytes > 0;
}

/** Uploads one tensor of an open file. Bytes are read, not mapped. */
export async function loadStored(file: InputFile, tensor: StoredTensor, device: Device, dtype?: DType): Promise<Tensor> {
  const { shape } = tensor;
  if (shape.length > 8) fail('ERR_FORMAT', `${file.path}: tensor ${describe(tensor.name)} has rank ${shape.length}; ranks 0 to 8 are allowed`);
  const own = stored[tensor.dtype] as DType;
  const { buffer } = await file.read(tensor.offset, tensor.bytes);
  if (tensor.dtype === 'F32') return device.tensor(new Float32Array(buffer), { shape, dtype: dtype ?? own });
  if (tensor.dtype === 'F64') return device.tensor(new Float64Array(buffer), { shape, dtype: dtype ?? own });
  const bits = new Uint16Array(buffer);
  if (dtype === undefined || dtype === own) return device.tensor(bits, { shape, dtype: own });
  return scope(() => device.tensor(bits, { shape, dtype: own }).to(dtype));
}

/**
 * Loads a safetensors file. F32, F16, BF16 and F64 tensors are returned; those of other dtypes (integers, 8-bit floats)
 * and those without elements are left out and named in `.skipped`.
 * @throws WeightNormError ERR_IO if the file cannot be read, ERR_FORMAT if it is not a well-formed safetensors file; the message names file and tensor.
 */
export async function loadSafetensors(path: string, options: LoadOptions = {}): Promise<LoadedTensors> {
  const device = options.device ?? Device.default();
  if (options.dtype !== undefined) dtypeCode(options.dtype);
  const loaded = Object.assign(new Map<string, Tensor>(), { skipped: [] as string[] });
  return withInput(path, async (file) => {
    try {
      for (const tensor of (await readHeader(file)).tensors) {
        if (isLoadable(tensor)) loaded.set(tensor.name, await loadStored(file, tensor, device, options.dtype));
        else loaded.skipped.push(tensor.name);
      }
      return loaded;
    } catch (error) {
      for (const tensor of loaded.values()) tensor.dispose();
      throw error;
    }
  });
}

/**
 * Writes tensors as a safetensors file, in their own dtypes, widest first. The values are those of this moment: writing to or
 * disposing a tensor while the file is written changes nothing. The file appears complete or not at all.
 * @throws WeightNormError ERR_IO if the file cannot be written; what an existing file held is kept.
 */
export async function saveSafetensors(path: string, tensors: ReadonlyMap<string, Tensor>, metadata?: Record<string, string>): Promise<void> {
  if (Object.prototype.toString.call(tensors) !== '[object Map]') fail('ERR_ARGUMENT', `tensors is ${describe(tensors)}; it must be a Map of names to Tensors`);
  for (const [key, value] of Object.entries(metadata ?? {})) {
    if (typeof value !== 'string') fail('ERR_ARGUMENT', `metadata.${key} is ${describe(value)}; it must be a string`);
  }
  for (const [name, tensor] of tensors) {
    if (typeof name !== 'string' || name === '__metadata__')
      fail('ERR_ARGUMENT', `tensors has the key ${describe(name)}; keys must be strings other than "__metadata__"`);
    nativeOf(tensor, `tensor ${describe(name)}`);
  }
  // A view keeps the storage of this moment.
  const snapshot = untracked(() => [...tensors].map(([name, tensor]) => ({ name, values: tensor.reshape(tensor.shape) })));
  snapshot.sort((a, b) => b.values.byteLength / b.values.size - a.values.byteLength / a.values.size);
  try {
    await writeAtomically(path, async (write) => {
      const entries = snapshot.map(({ name, values }) => ({ name, dtype: formatNames[values.dtype], shape: values.shape }));
      await write(encodeHeader(entries, metadata ?? null));
      for (const { values } of snapshot) await write(await values.readRaw());
    });
  } finally {
    for (const { values } of snapshot) values.dispose();
  }
}
