import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { access, type FileHandle, open, realpath, rename, stat, unlink } from 'node:fs/promises';
import path from 'node:path';
import { describe, fail, WeightNormError } from '../errors.js';

const reasons: Record<string, string> = {
  ENOENT: 'there is no such file or directory',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EISDIR: 'it is a directory',
  ENOTDIR: 'part of the path is not a directory',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EFBIG: 'the file would be larger than allowed',
  EROFS: 'the file system is read-only',
  EMFILE: 'too many files are open',
  ELOOP: 'too many symbolic links',
  ENAMETOOLONG: 'the name is too long',
};

/** Throws ERR_IO for a failed system call, or passes on an error of the library. */
export function ioError(file: string, action: string, error: unknown): never {
  if (error instanceof WeightNormError) throw error;
  const code = (error as NodeJS.ErrnoException | null)?.code;
  const reason = code && code in reasons ? `${reasons[code]} (${code})` : String((error as Error)?.message ?? error);
  fail('ERR_IO', `${file}: cannot be ${action}: ${reason}`, error);
}

/** A path argument: a string that is not empty. */
export function checkPath(value: unknown, argument: string): string {
  if (typeof value !== 'string' || value === '' || value.includes('\0'))
    fail('ERR_ARGUMENT', `${argument} is ${describe(value)}; it must be the path of a file`);
  return value;
}

const largestRead = 1 << 26;
/** Shorter reads move a window of the file, which serves those that lie in it: small tensors take less time than a system call. */
const smallRead = 1 << 17;
const windowBytes = 1 << 19;

/** A regular file opened for bounded reads: never mapped, so a file cut short meanwhile is an error, not a crash. */
export class InputFile {
  readonly path: string;
  /** Size in bytes when it was opened. */
  readonly size: number;
  readonly #handle: FileHandle;
  #window = { start: 0, bytes: new Uint8Array(0) };

  private constructor(file: string, size: number, handle: FileHandle) {
    this.path = file;
    this.size = size;
    this.#handle = handle;
  }

  static async open(file: string): Promise<InputFile> {
    let handle: FileHandle | undefined;
    try {
      // Without O_NONBLOCK, opening a named pipe would wait for its writer.
      handle = await open(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
      const status = await handle.stat();
      if (!status.isFile()) fail('ERR_IO', `${file}: cannot be read: it is ${status.isDirectory() ? 'a directory' : 'not a regular file'}`);
      return new InputFile(file, status.size, handle);
    } catch (error) {
      await handle?.close();
      ioError(file, 'opened', error);
    }
  }

  /** Fills `target` from byte `offset`; ERR_FORMAT if the file ends first. */
  async readInto(target: Uint8Array, offset: number): Promise<void> {
    const done = await this.#fill(target, offset);
    if (done < target.length) fail('ERR_FORMAT', `${this.path}: ends at byte ${offset + done}, inside data that goes on to byte ${offset + target.length}`);
  }

  /** `length` bytes from `offset`, in a buffer of their own. */
  async read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    if (offset + length > this.size)
      fail('ERR_FORMAT', `${this.path}: is ${this.size} bytes long and ends inside data that goes on to byte ${offset + length}`);
    if (length < smallRead && !this.#holds(offset, length)) await this.#moveWindow(offset);
    if (this.#holds(offset, length)) {
      const at = offset - this.#window.start;
      return this.#window.bytes.slice(at, at + length);
    }
    const bytes = allocate(length, this.path);
    await this.readInto(bytes, offset);
    return bytes;
  }

  #holds(offset: number, length: number): boolean {
    const { start, bytes } = this.#window;
    return offset >= start && offset + length <= start + bytes.length;
  }

  async #moveWindow(start: number): Promise<void> {
    const bytes = allocate(Math.min(windowBytes, this.size - start), this.path);
    this.#window = { start, bytes: bytes.subarray(0, await this.#fill(bytes, start)) };
  }

  /** How many bytes of `target` the file fills from byte `offset` on. */
  async #fill(target: Uint8Array, offset: number): Promise<number> {
    let done = 0;
    while (done < target.length) {
      const length = Math.min(target.length - done, largestRead);
      const { bytesRead } = await this.#handle.read(target, done, length, offset + done).catch((error) => ioError(this.path, 'read', error));
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return done;
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** Zeroed bytes in a buffer of their own; ERR_MEMORY where there is no room for them. */
export function allocate(length: number, path: string): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(length);
  } catch (error) {
    fail('ERR_MEMORY', `${path}: ${length} bytes of it do not fit into memory`, error);
  }
}

/** Opens `file`, runs `use` and closes it whatever happens. */
export async function withInput<T>(file: string, use: (input: InputFile) => Promise<T>): Promise<T> {
  const input = await InputFile.open(checkPath(file, 'path'));
  try {
    return await use(input);
  } finally {
    await input.close();
  }
}

/** A whole file of at most `limit` bytes as UTF-8 text. */
export async function readText(file: string, limit: number): Promise<string> {
  return withInput(file, async (input) => {
    if (input.size > limit) fail('ERR_FORMAT', `${file}: is ${input.size} bytes long; at most ${limit} are allowed`);
    return decodeUtf8(await input.read(0, input.size), file);
  });
}

/** Strict UTF-8; ERR_FORMAT for anything else. */
export function decodeUtf8(bytes: Uint8Array, what: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    fail('ERR_FORMAT', `${what}: is not valid UTF-8`, error);
  }
}

/** Where writing to `file` would end up, symbolic links followed. Throws ERR_IO if nothing may be written there. */
export async function writableTarget(file: string): Promise<string> {
  try {
    const target = await realpath(file).catch((error) => {
      if (error.code === 'ENOENT') return path.resolve(file);
      throw error;
    });
    const status = await stat(target).catch((error) => {
      if (error.code === 'ENOENT') return null;
      throw error;
    });
    if (status && !status.isFile()) fail('ERR_IO', `${file}: cannot be written: it is ${status.isDirectory() ? 'a directory' : 'not a regular file'}`);
    if (status) await access(target, constants.W_OK);
    await access(path.dirname(target), constants.W_OK | constants.X_OK);
    return target;
  } catch (error) {
    ioError(file, 'written', error);
  }
}

/** Appends bytes to a file under construction, or replaces those from byte `at` on. */
export type Write = (bytes: ArrayBufferView, at?: number) => Promise<void>;

/**
 * Creates or replaces `file` in one step: `produce` writes a temporary file in the same directory, which is synced and
 * renamed. On any failure the temporary file is removed and an existing `file` stays as it was.
 */
export async function writeAtomically(file: string, produce: (write: Write) => Promise<void>): Promise<void> {
  const target = await writableTarget(checkPath(file, 'path'));
  const temporary = path.join(path.dirname(target), `.weightnorm-${randomBytes(9).toString('hex')}.tmp`);
  let handle: FileHandle | undefined;
  try {
    handle = await open(temporary, 'wx', ((await stat(target).catch(() => null))?.mode ?? 0o666) & 0o777);
    const output = handle;
    let end = 0;
    await produce(async (bytes, at) => {
      await writeAll(output, bytes, at ?? end);
      if (at === undefined) end += bytes.byteLength;
    });
    await handle.sync();
    await handle.close();
    handle = undefined;
    await rename(temporary, target);
  } catch (error) {
    await handle?.close().catch(() => {});
    await unlink(temporary).catch(() => {});
    ioError(file, 'written', error);
  }
  await syncDirectory(path.dirname(target));
}

async function writeAll(handle: FileHandle, view: ArrayBufferView, at: number): Promise<void> {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  for (let done = 0; done < bytes.length; ) {
    done += (await handle.write(bytes, done, Math.min(bytes.length - done, largestRead), at + done)).bytesWritten;
  }
}

/** Makes the rename durable where the system can (Windows cannot open directories). */
async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r').catch(() => null);
  await handle?.sync().catch(() => {});
  await handle?.close();
}
