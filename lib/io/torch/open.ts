import { fail } from '../../errors.js';
import type { InputFile } from '../file.js';
import { elementBytes, type OpenTensor } from '../stored.js';
import { gather, swapBytes } from '../strided.js';
import type { TorchFile } from './archive.js';
import { flatten, type TorchValue } from './flatten.js';
import type { TorchStorage, TorchTensor } from './storage.js';

/** Views of a storage may repeat its elements: together the tensors may be this many times as large as the storages, and as this besides. */
const largestRatio = 8;
const alwaysAllowed = 1 << 26;

/** The tensors of a torch file, in the order of its storages, and what else it holds. Nothing but descriptions has been read. */
export function torchTensors(file: InputFile, torch: TorchFile): { tensors: OpenTensor[]; values: Map<string, TorchValue> } {
  const { tensors: found, values } = flatten(torch.root, file.path);
  const stored = [...torch.storages.byKey.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  const spread = [...found.values()].reduce((sum, tensor) => sum + tensor.bytes, 0);
  if (spread > stored * largestRatio + alwaysAllowed) fail('ERR_FORMAT', `${file.path}: its tensors would take ${spread} bytes, but it stores ${stored}`);
  const readStorage = oneAtATime(torch);
  const tensors = [...found].map(([name, tensor]): OpenTensor => {
    const read = async (): Promise<Uint8Array<ArrayBuffer>> => rows(await readStorage(tensor.storage), tensor, torch.bigEndian, file.path);
    return {
      name,
      dtype: tensor.dtype,
      shape: [...tensor.shape],
      offset: torch.position(tensor.storage),
      bytes: tensor.bytes,
      read,
      pieces: async function* () {
        yield await read();
      },
    };
  });
  return { tensors: tensors.sort((a, b) => a.offset - b.offset), values };
}

/** Keeps the storage that was read last: the tensors that share one follow each other. */
function oneAtATime(torch: TorchFile): (storage: TorchStorage) => Promise<Uint8Array<ArrayBuffer>> {
  let last: { storage: TorchStorage; bytes: Promise<Uint8Array<ArrayBuffer>> } | null = null;
  return (storage) => {
    if (last?.storage !== storage) last = { storage, bytes: torch.readStorage(storage) };
    return last.bytes;
  };
}

function rows(storage: Uint8Array<ArrayBuffer>, tensor: TorchTensor, bigEndian: boolean, path: string): Uint8Array<ArrayBuffer> {
  const itemBytes = elementBytes[tensor.dtype] as number;
  const bytes = gather(storage, itemBytes, tensor, path);
  if (!bigEndian) return bytes;
  const own = bytes === storage ? bytes.slice() : bytes;
  swapBytes(own, tensor.dtype === 'C64' ? 4 : itemBytes);
  return own;
}
