import { Device } from '../device.js';
import { type DType, dtypeCode } from '../dtype.js';
import { describe, fail } from '../errors.js';
import { scope } from '../scope.js';
import type { Tensor } from '../tensor.js';
import { below, type Checkpoint, type CheckpointFormat, withCheckpoint } from './checkpoint.js';
import type { OpenTensor, StoredTensor } from './stored.js';
import type { TorchValue } from './torch/flatten.js';

export interface LoadOptions {
  /** Default: {@link Device.default}. */
  device?: Device | undefined;
  /** Converts every tensor, rounding to nearest even. Default: each keeps its own dtype (F64 becomes float32). */
  dtype?: DType | undefined;
}

export interface TorchOptions extends LoadOptions {
  /** Loads only what is below this dotted key, with names that begin after it: 'generator', 'state_dict', 'model.ema'. */
  key?: string | undefined;
}

/** Tensors by name, and the names of those that no dtype of this library can hold. */
export type LoadedTensors = Map<string, Tensor> & { skipped: string[] };

/** {@link LoadedTensors} of a torch checkpoint, and what it holds besides: numbers, text and lists of them, by dotted name. */
export type LoadedCheckpoint = LoadedTensors & { extras: Map<string, TorchValue> };

const stored: Readonly<Record<string, DType>> = { F32: 'float32', F16: 'float16', BF16: 'bfloat16', F64: 'float32' };

/** Whether a stored tensor can become a {@link Tensor}: F32, F16, BF16 or F64, with at least one element. */
export function isLoadable(tensor: StoredTensor): boolean {
  return tensor.dtype in stored && tensor.bytes > 0;
}

/** Makes a tensor of stored values. `path` names the file in messages. */
export async function upload(tensor: OpenTensor, path: string, device: Device, dtype?: DType): Promise<Tensor> {
  const { shape } = tensor;
  if (shape.length > 8) fail('ERR_FORMAT', `${path}: tensor ${describe(tensor.name)} has rank ${shape.length}; ranks 0 to 8 are allowed`);
  return uploadBytes(await tensor.read(), tensor, device, dtype);
}

/** {@link upload} of values that are there: row-major, little-endian, from the beginning of their buffer. */
export function uploadBytes(
  { buffer }: Uint8Array<ArrayBuffer>,
  { dtype: storedAs, shape }: Pick<StoredTensor, 'dtype' | 'shape'>,
  device: Device,
  dtype?: DType,
): Tensor {
  const own = stored[storedAs] as DType;
  if (storedAs === 'F32') return device.tensor(new Float32Array(buffer), { shape, dtype: dtype ?? own });
  if (storedAs === 'F64') return device.tensor(new Float64Array(buffer), { shape, dtype: dtype ?? own });
  const bits = new Uint16Array(buffer);
  if (dtype === undefined || dtype === own) return device.tensor(bits, { shape, dtype: own });
  return scope(() => device.tensor(bits, { shape, dtype: own }).to(dtype));
}

/** Every tensor of an open checkpoint that the library can hold, on a device. */
export async function loadAll({ tensors, path }: Checkpoint, options: LoadOptions): Promise<LoadedTensors> {
  const device = options.device ?? Device.default();
  if (options.dtype !== undefined) dtypeCode(options.dtype);
  const loaded = Object.assign(new Map<string, Tensor>(), { skipped: [] as string[] });
  try {
    for (const tensor of tensors) {
      if (isLoadable(tensor)) loaded.set(tensor.name, await upload(tensor, path, device, options.dtype));
      else loaded.skipped.push(tensor.name);
    }
    return loaded;
  } catch (error) {
    for (const tensor of loaded.values()) tensor.dispose();
    throw error;
  }
}

/** {@link loadAll} of a file that must be of one format. */
async function loadFormat<T extends LoadedTensors>(
  path: string,
  format: CheckpointFormat,
  options: TorchOptions,
  finish: (loaded: LoadedTensors, from: Checkpoint) => T,
): Promise<T> {
  if (options.dtype !== undefined) dtypeCode(options.dtype);
  return withCheckpoint(
    path,
    async (whole) => {
      const part = options.key === undefined ? whole : below(whole, options.key);
      return finish(await loadAll(part, options), part);
    },
    { format },
  );
}

/**
 * Loads a safetensors file. F32, F16, BF16 and F64 tensors are returned; those of other dtypes (integers, 8-bit floats)
 * and those without elements are left out and named in `.skipped`.
 * @throws WeightNormError ERR_IO if the file cannot be read, ERR_FORMAT if it is not a well-formed safetensors file; the message names file and tensor.
 */
export async function loadSafetensors(path: string, { device, dtype }: LoadOptions = {}): Promise<LoadedTensors> {
  return loadFormat(path, 'safetensors', { device, dtype }, (loaded) => loaded);
}

/**
 * Loads a file that `torch.save` wrote (`.pt`, `.pth`, `.ckpt`, or no extension, as HiFi-GAN's `g_02500000`), of any version of torch.
 * The file is read as data: tensors, parameters, dictionaries, lists, tuples, numbers and text. Anything else that it names is
 * refused, and nothing of it is ever run. Nested dictionaries become dotted names (`generator.conv_pre.bias`); tensors that share a
 * storage, are transposed or otherwise strided come out as torch would show them. Dtypes are those of {@link loadSafetensors}.
 * With `key`, only the tensors below it are read. What is no tensor (steps, rates, names) is in `.extras`.
 * @throws WeightNormError ERR_IO if the file cannot be read; ERR_FORMAT for a file that is damaged, that names what is refused (the
 *   message gives the name), or that holds a program (TorchScript); ERR_KEYS if there is nothing below `key`, with what there is.
 */
export async function loadTorch(path: string, options: TorchOptions = {}): Promise<LoadedCheckpoint> {
  return loadFormat(path, 'torch', options, (loaded, { values }) => Object.assign(loaded, { extras: values }));
}

/**
 * Loads a NumPy archive (`.npz`, stored or compressed), such as MLX writes: each array under its name. Either byte order and
 * Fortran order are read. Dtypes are those of {@link loadSafetensors}: integers are left out and named in `.skipped`.
 * @throws WeightNormError ERR_IO if the file cannot be read, ERR_FORMAT if it is not a well-formed archive of arrays; the message names file and array.
 */
export async function loadNpz(path: string, { device, dtype }: LoadOptions = {}): Promise<LoadedTensors> {
  return loadFormat(path, 'npz', { device, dtype }, (loaded) => loaded);
}
