import { describe, fail } from '../../errors.js';
import type { InputFile } from '../file.js';
import { elementBytes } from '../stored.js';
import { largestPickle, type TorchFile } from './archive.js';
import { torchWorld } from './globals.js';
import { Unpickler } from './pickle.js';
import { PickleTruncated } from './refusal.js';
import { type TorchStorage, TorchStorages } from './storage.js';

/** The pickled number that opens these files. */
const magic = Buffer.from('80028a0a6cfc9c46f9206aa850192e', 'hex');
const firstRead = 1 << 20;

/** Whether a file begins as torch before 1.6 wrote them. */
export function isLegacyTorch(start: Uint8Array): boolean {
  return magic.subarray(0, start.length).equals(start.subarray(0, magic.length)) && start.length >= magic.length;
}

/**
 * Reads a file of torch before 1.6, such as those that HiFi-GAN's authors published: five pickles (a number, the format's
 * version, the machine, what was saved, the keys of its storages), then each storage as its number of elements and its bytes.
 */
export async function readLegacyTorch(file: InputFile): Promise<TorchFile> {
  const bad = (message: string): never => fail('ERR_FORMAT', `${file.path}: ${message}`);
  for (let length = Math.min(firstRead, file.size); ; length = Math.min(length * 4, file.size, largestPickle)) {
    const storages = new TorchStorages();
    const unpickler = new Unpickler(await file.read(0, length), file.path, torchWorld(storages, file.path));
    let parts: unknown[];
    try {
      parts = Array.from({ length: 5 }, () => unpickler.load());
    } catch (error) {
      if (!(error instanceof PickleTruncated)) throw error;
      if (length === file.size) bad(`ends at byte ${length}, in the middle of a value`);
      if (length === largestPickle) bad(`its description takes more than ${largestPickle} bytes`);
      continue;
    }
    const [, version, machine, root, keys] = parts;
    if (version !== 1001) bad(`has version ${describe(version)} of torch's old format; 1001 is known`);
    const little = machine instanceof Map ? machine.get('little_endian') : undefined;
    if (typeof little !== 'boolean') return bad('does not say in which order its bytes are');
    if (!Array.isArray(keys)) return bad(`lists its storages by ${describe(keys)}`);
    const offsets = await locate(file, storages, keys, unpickler.position, little);
    return {
      root,
      storages,
      bigEndian: !little,
      position: (storage) => offsets.get(storage) as number,
      readStorage: (storage) => file.read(offsets.get(storage) as number, storage.bytes),
    };
  }
}

/** Where the bytes of each storage begin. */
async function locate(file: InputFile, storages: TorchStorages, keys: readonly unknown[], start: number, little: boolean): Promise<Map<TorchStorage, number>> {
  const bad = (message: string): never => fail('ERR_FORMAT', `${file.path}: ${message}`);
  const offsets = new Map<TorchStorage, number>();
  let at = start;
  for (const key of keys) {
    const storage = storages.byKey.get(key as string) ?? bad(`lists storage ${describe(key)}, which nothing in it uses`);
    if (storage.dtype === null) return bad(`has storage ${describe(key)} without a dtype`);
    if (offsets.has(storage)) bad(`lists storage ${describe(key)} twice`);
    if (at + 8 + storage.bytes > file.size) bad(`ends at byte ${file.size}; storage ${describe(key)} goes on to byte ${at + 8 + storage.bytes}`);
    const elements = new DataView((await file.read(at, 8)).buffer).getBigInt64(0, little);
    const described = storage.bytes / (elementBytes[storage.dtype] as number);
    if (elements !== BigInt(described)) bad(`storage ${describe(key)} has ${elements} elements; its description says ${described}`);
    offsets.set(storage, at + 8);
    at += 8 + storage.bytes;
  }
  for (const storage of storages.byKey.values()) if (!offsets.has(storage)) bad(`storage ${describe(storage.key)} is missing`);
  if (at !== file.size) bad(`has ${file.size - at} bytes after its last storage`);
  return offsets;
}
