import { chmodSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { audio, Device, io } from 'weightnorm';
import { fileHandlePrototype, temporaryFolder, unprivileged } from '../support/files';

const folder = temporaryFolder();
const samples = Float32Array.of(0, 0.5, -0.5);

/** Makes one call of a method of every open file fail as the system would. */
async function failing(method: 'write' | 'sync', code: string, use: () => Promise<void>): Promise<void> {
  const spy = jest.spyOn(await fileHandlePrototype(), method).mockRejectedValueOnce(Object.assign(new Error(code), { code }) as never);
  try {
    await use();
    expect(spy).toHaveBeenCalled();
  } finally {
    spy.mockRestore();
  }
}

const writers: [string, (file: string) => Promise<unknown>][] = [
  ['writeWav', (file) => audio.writeWav(file, samples, 16000)],
  ['saveNpy', (file) => io.saveNpy(file, samples, [3])],
  ['saveSafetensors', (file) => io.saveSafetensors(file, new Map([['x', Device.get('cpu').tensor(samples)]]))],
  ['foldCheckpoint', (file) => io.foldCheckpoint('test/golden/checkpoint_weight_g_v.safetensors', file)],
];

describe.each(writers)('%s', (name, write) => {
  test.each([
    ['write', 'ENOSPC', 'the disk is full (ENOSPC)'],
    ['sync', 'EDQUOT', 'the disk quota is used up (EDQUOT)'],
  ] as const)('a failing %s leaves the old file and nothing else', async (method, code, reason) => {
    const file = folder.file(`${name}-old`, 'precious');
    const before = folder.list();
    await failing(method, code, async () => {
      await expect(write(file)).rejects.toMatchObject({ code: 'ERR_IO', message: `${file}: cannot be written: ${reason}` });
    });
    expect(folder.list()).toEqual(before);
    expect(readFileSync(file, 'utf8')).toBe('precious');
  });

  test('a folder that does not exist', async () => {
    const file = folder.file('nowhere/out');
    await expect(write(file)).rejects.toMatchObject({ code: 'ERR_IO', message: `${file}: cannot be written: there is no such file or directory (ENOENT)` });
  });

  test('a folder without permission', async () => {
    const closed = folder.file(`${name}-closed`);
    mkdirSync(closed);
    chmodSync(closed, 0o555);
    chmodSync(folder.path, 0o755);
    const file = `${closed}/out`;
    await expect(unprivileged(() => write(file))).rejects.toMatchObject({ code: 'ERR_IO', message: `${file}: cannot be written: permission denied (EACCES)` });
  });

  test('a directory, and a device, are not replaced', async () => {
    const file = folder.file(`${name}-directory`);
    mkdirSync(file);
    await expect(write(file)).rejects.toMatchObject({ code: 'ERR_IO', message: `${file}: cannot be written: it is a directory` });
    await expect(write('/dev/null')).rejects.toMatchObject({ code: 'ERR_IO', message: '/dev/null: cannot be written: it is not a regular file' });
  });

  test('a symbolic link stays one; what it points to is replaced', async () => {
    const target = folder.file(`${name}-target`, 'old');
    const link = folder.file(`${name}-link`);
    symlinkSync(target, link);
    await write(link);
    expect(readFileSync(target).equals(readFileSync(link))).toBe(true);
    expect(readFileSync(target, 'latin1')).not.toBe('old');
    await write(target);
  });
});

test('no temporary file is left after all of this', () => {
  expect(folder.list().filter((name) => name.startsWith('.'))).toEqual([]);
});
