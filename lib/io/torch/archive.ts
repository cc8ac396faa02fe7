import { describe, fail } from '../../errors.js';
import type { InputFile } from '../file.js';
import type { ZipArchive, ZipEntry } from '../zip.js';
import { torchWorld } from './globals.js';
import { Unpickler } from './pickle.js';
import { PickleTruncated } from './refusal.js';
import { type TorchStorage, TorchStorages } from './storage.js';

/** The largest pickle that is read: descriptions only, no values of tensors. */
export const largestPickle = 1 << 26;

/** A torch file whose description was read: what was saved, and how to come by the bytes of its storages. */
export interface TorchFile {
  root: unknown;
  storages: TorchStorages;
  bigEndian: boolean;
  /** Where a storage lies, for reading in the order of the file. */
  position(storage: TorchStorage): number;
  readStorage(storage: TorchStorage): Promise<Uint8Array<ArrayBuffer>>;
}

/** The folder inside a torch archive; null where the archive is no torch file. */
export function torchFolder(archive: ZipArchive): string | null {
  const pickles = [...archive.entries.keys()].filter((name) => /(^|\/)data\.pkl$/.test(name));
  if (pickles.length > 1) fail('ERR_FORMAT', `${archive.file.path}: has ${pickles.length} entries named data.pkl; a torch file has one`);
  return pickles[0]?.slice(0, -'data.pkl'.length) ?? null;
}

/** Reads a file of torch 1.6 and later: a zip archive with the description in `data.pkl` and each storage in an entry of its own. */
export async function readTorchArchive(file: InputFile, archive: ZipArchive, folder: string): Promise<TorchFile> {
  const bad = (message: string): never => fail('ERR_FORMAT', `${file.path}: ${message}`);
  const { entries } = archive;
  if (entries.has(`${folder}constants.pkl`)) bad('is a TorchScript archive, which holds programs; save the state dict of the module instead');
  const pickle = entries.get(`${folder}data.pkl`) as ZipEntry;
  if (pickle.bytes > largestPickle) bad(`entry ${describe(pickle.name)} has ${pickle.bytes} bytes; at most ${largestPickle} are allowed`);
  const order = entries.get(`${folder}byteorder`);
  if (order && order.bytes > 16) bad(`entry ${describe(order.name)} has ${order.bytes} bytes; it must be "little" or "big"`);
  const byteOrder = order ? Buffer.from(await archive.read(order)).toString('latin1') : 'little';
  if (byteOrder !== 'little' && byteOrder !== 'big') bad(`entry ${describe(order?.name)} is ${describe(byteOrder)}; it must be "little" or "big"`);

  const what = `${file.path}: ${pickle.name}`;
  const storages = new TorchStorages();
  const root = unpickle(await archive.read(pickle), what, storages);
  const located = new Map<TorchStorage, ZipEntry>();
  for (const storage of storages.byKey.values()) {
    const name = `${folder}data/${storage.key}`;
    const entry = entries.get(name) ?? bad(`entry ${describe(name)} is missing: ${describe(storage.key)} is one of the file's storages`);
    if (entry.deflated) bad(`entry ${describe(name)} is compressed; torch stores tensors as they are`);
    if (entry.bytes !== storage.bytes) bad(`entry ${describe(name)} has ${entry.bytes} bytes; ${describe(pickle.name)} says ${storage.bytes}`);
    located.set(storage, entry);
  }
  const entryOf = (storage: TorchStorage): ZipEntry => located.get(storage) as ZipEntry;
  return {
    root,
    storages,
    bigEndian: byteOrder === 'big',
    position: (storage) => entryOf(storage).header,
    readStorage: (storage) => archive.read(entryOf(storage)),
  };
}

function unpickle(bytes: Uint8Array, what: string, storages: TorchStorages): unknown {
  const unpickler = new Unpickler(bytes, what, torchWorld(storages, what));
  try {
    const root = unpickler.load();
    if (unpickler.position !== bytes.length) fail('ERR_FORMAT', `${what}: has ${bytes.length - unpickler.position} bytes after its end`);
    return root;
  } catch (error) {
    if (error instanceof PickleTruncated) fail('ERR_FORMAT', `${what}: ends in the middle of a value, after ${bytes.length} bytes`, error);
    throw error;
  }
}
