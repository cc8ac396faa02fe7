import { readdir } from 'node:fs/promises';
import path from 'node:path';
import type { Device } from '../device.js';
import { describe, fail } from '../errors.js';
import type { Tensor } from '../tensor.js';
import { ioError } from './file.js';
import { type LoadedTensors, loadSafetensors } from './load.js';

/** Every tensor of every `*.safetensors` of a folder. Throws ERR_FORMAT where two files hold a tensor of one name. */
export async function loadFolder(directory: string, device: Device): Promise<LoadedTensors> {
  const names = (await readdir(directory).catch((error) => ioError(directory, 'read', error))).filter((name) => name.endsWith('.safetensors')).sort();
  const all: LoadedTensors = Object.assign(new Map<string, Tensor>(), { skipped: [] as string[] });
  try {
    for (const name of names) {
      const part = await loadSafetensors(path.join(directory, name), { device });
      for (const [key, tensor] of part) {
        if (all.has(key)) {
          for (const extra of part.values()) extra.dispose();
          fail('ERR_FORMAT', `${path.join(directory, name)}: tensor ${describe(key)} is also in another file of the folder`);
        }
        all.set(key, tensor);
      }
      all.skipped.push(...part.skipped);
    }
    return all;
  } catch (error) {
    for (const tensor of all.values()) tensor.dispose();
    throw error;
  }
}
