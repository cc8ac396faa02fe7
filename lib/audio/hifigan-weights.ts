import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Device } from '../device.js';
import { describe, fail } from '../errors.js';
import { below, type Checkpoint, withCheckpoint } from '../io/checkpoint.js';
import { checkPath, ioError } from '../io/file.js';
import { type LoadedTensors, loadAll } from '../io/load.js';
import { loadFolder } from '../io/safetensors-folder.js';

/** What torch users call their checkpoints, and how HiFi-GAN's training script does. */
const torchNames = /\.(pt|pth|ckpt)$/;
const stepNames = /^g_\d{8}$/;

/** The folder of a generator: `given` itself, or that of the checkpoint that was given. */
export async function folderOf(given: string): Promise<string> {
  const status = await stat(checkPath(given, 'directory')).catch(() => null);
  return status?.isFile() ? path.dirname(given) : given;
}

/** The tensors of a generator in a folder or a checkpoint; of a file with more in it (discriminators, optimisers) only those are read. */
export async function loadGenerator(given: string, folder: string, device: Device): Promise<LoadedTensors> {
  const checkpoint = given === folder ? await torchCheckpoint(folder) : given;
  if (checkpoint === null) return loadFolder(folder, device);
  return withCheckpoint(checkpoint, async (whole) => loadAll(generatorOf(whole), { device }));
}

/** The checkpoint of torch in a folder; null where it has safetensors. */
async function torchCheckpoint(folder: string): Promise<string | null> {
  const names = (await readdir(folder).catch((error) => ioError(folder, 'read', error))).sort();
  if (names.some((name) => name.endsWith('.safetensors'))) return null;
  const found = names.filter((name) => torchNames.test(name) || stepNames.test(name));
  const [last] = found.slice(-1);
  if (last === undefined)
    fail('ERR_IO', `${folder}: there is no *.safetensors file with the weights, nor a checkpoint of torch (*.pt, *.pth, *.ckpt, or g_ and eight digits)`);
  // As HiFi-GAN itself: the checkpoint of the last step.
  if (found.length > 1 && !found.every((name) => stepNames.test(name)))
    fail('ERR_IO', `${folder}: there are several checkpoints, ${found.map(describe).join(', ')}; give the path of one of them`);
  return path.join(folder, last);
}

/** The part of a checkpoint that holds the generator, which its first layer tells. */
function generatorOf(checkpoint: Checkpoint): Checkpoint {
  const prefixes = checkpoint.tensors.flatMap(({ name }) => /^(.*\.|)conv_pre\.bias$/.exec(name)?.[1] ?? []);
  if (prefixes.length > 1) {
    const keys = prefixes.map((prefix) => describe(prefix.slice(0, -1))).join(', ');
    fail('ERR_KEYS', `${checkpoint.path}: holds several generators, below the keys ${keys}; write one of them to a file of its own: weightnorm convert --key`);
  }
  const [prefix] = prefixes;
  return prefix ? below(checkpoint, prefix.slice(0, -1)) : checkpoint;
}
