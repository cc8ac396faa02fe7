import { describe, fail } from '../errors.js';
import { checkPath, type InputFile, withInput } from './file.js';
import { isNpz, npzTensors } from './npz.js';
import { readHeader } from './safetensors-header.js';
import type { OpenTensor, StoredTensor } from './stored.js';
import { readTorchArchive, torchFolder } from './torch/archive.js';
import type { TorchValue } from './torch/flatten.js';
import { isLegacyTorch, readLegacyTorch } from './torch/legacy.js';
import { torchTensors } from './torch/open.js';
import { ZipArchive } from './zip.js';

export type CheckpointFormat = 'safetensors' | 'torch' | 'npz';

/** A checkpoint whose description has been read, in any of the formats. */
export interface Checkpoint {
  path: string;
  format: CheckpointFormat;
  /** Size of the file. */
  bytes: number;
  /** In the order in which they are best read. */
  tensors: OpenTensor[];
  /** Of a safetensors file. */
  metadata: Record<string, string> | null;
  /** What a torch file holds besides tensors. */
  values: Map<string, TorchValue>;
}

const block = 1 << 23;

export interface OpenOptions {
  /** The only format that is wanted. */
  format?: CheckpointFormat;
  /** What the caller calls the path. Default 'path'. */
  argument?: string;
}

/** Opens a checkpoint, whose format its first bytes tell, and closes it after `use`, whatever happens. */
export async function withCheckpoint<T>(
  path: string,
  use: (checkpoint: Checkpoint) => Promise<T>,
  { format, argument = 'path' }: OpenOptions = {},
): Promise<T> {
  return withInput(checkPath(path, argument), async (file) => use(await openCheckpoint(file, format)));
}

const titles: Readonly<Record<CheckpointFormat, string>> = {
  safetensors: 'a safetensors file (io.loadSafetensors reads it)',
  torch: 'a torch file (io.loadTorch reads it)',
  npz: 'a NumPy archive (io.loadNpz reads it)',
};

async function openCheckpoint(file: InputFile, wanted: CheckpointFormat | undefined): Promise<Checkpoint> {
  const plain = { path: file.path, bytes: file.size, metadata: null, values: new Map<string, TorchValue>() };
  const check = (format: CheckpointFormat): CheckpointFormat => {
    if (wanted !== undefined && wanted !== format) fail('ERR_FORMAT', `${file.path}: is ${titles[format]}, not ${titles[wanted].replace(/ \(.*/, '')}`);
    return format;
  };
  const start = await file.read(0, Math.min(16, file.size));
  const kind = kindOf(start);
  if (kind === 'zip') {
    const archive = await ZipArchive.open(file);
    const folder = torchFolder(archive);
    if (folder !== null) return { ...plain, format: check('torch'), ...torchTensors(file, await readTorchArchive(file, archive, folder)) };
    if (isNpz(archive)) return { ...plain, format: check('npz'), tensors: await npzTensors(archive) };
    fail('ERR_FORMAT', `${file.path}: is a zip archive without tensors: a torch file has an entry data.pkl, a NumPy archive entries *.npy`);
  }
  if (kind === 'legacy torch') return { ...plain, format: check('torch'), ...torchTensors(file, await readLegacyTorch(file)) };
  if (wanted !== undefined && wanted !== 'safetensors' && start[8] !== 0x7b)
    fail('ERR_FORMAT', `${file.path}: is not ${titles[wanted].replace(/ \(.*/, '')}: it begins with ${Buffer.from(start).toString('hex') || 'nothing'}`);
  check('safetensors');
  const { tensors, metadata } = await readHeader(file);
  return { ...plain, format: 'safetensors', tensors: tensors.map((tensor) => openStored(file, tensor)), metadata };
}

/** A safetensors header may be as long as the first bytes of the others say, but the byte after its length opens an object. */
function kindOf(start: Uint8Array): 'zip' | 'legacy torch' | 'safetensors' {
  if (start[8] === 0x7b) return 'safetensors';
  if (Buffer.from(start.subarray(0, 4)).toString('latin1') === 'PK\x03\x04') return 'zip';
  return isLegacyTorch(start) ? 'legacy torch' : 'safetensors';
}

function openStored(file: InputFile, tensor: StoredTensor): OpenTensor {
  return {
    ...tensor,
    read: () => file.read(tensor.offset, tensor.bytes),
    pieces: async function* () {
      const buffer = new Uint8Array(Math.min(block, tensor.bytes));
      for (let done = 0; done < tensor.bytes; ) {
        const part = buffer.subarray(0, Math.min(block, tensor.bytes - done));
        await file.readInto(part, tensor.offset + done);
        yield part;
        done += part.length;
      }
    },
  };
}

/**
 * The part of a checkpoint below a dotted key, with names that begin after it: 'generator' of HiFi-GAN's files, 'state_dict' of
 * Lightning's. Throws ERR_KEYS where there is nothing below it, and says what there is.
 */
export function below(checkpoint: Checkpoint, key: unknown): Checkpoint {
  if (typeof key !== 'string' || key === '') fail('ERR_ARGUMENT', `key is ${describe(key)}; it must be a name, or names joined with '.', such as 'generator'`);
  const prefix = `${key}.`;
  const tensors = checkpoint.tensors.filter(({ name }) => name.startsWith(prefix));
  if (tensors.length === 0) {
    const known = [...new Set(checkpoint.tensors.map(({ name }) => name.split('.')[0]))].slice(0, 20).map(describe).join(', ');
    fail('ERR_KEYS', `${checkpoint.path}: has no tensors below the key ${describe(key)}; its tensors begin with ${known || 'nothing: it has none'}`);
  }
  return {
    ...checkpoint,
    tensors: tensors.map((tensor) => ({ ...tensor, name: tensor.name.slice(prefix.length) })),
    values: new Map([...checkpoint.values].filter(([name]) => name.startsWith(prefix)).map(([name, value]) => [name.slice(prefix.length), value])),
  };
}
