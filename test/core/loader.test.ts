import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { readBinaryHeader } from '../../dist/loader/binary-header';
import { explain, type FailedLoad } from '../../dist/loader/explain';
import { outsideArchive } from '../../dist/loader/find';
import { type System, thisSystem } from '../../dist/loader/system';
import { temporaryFolder } from '../support/files';

const folder = temporaryFolder();

const linux: System = { platform: 'linux', arch: 'x64', libc: 'glibc', node: '22.1.0', glibcVersion: () => '2.17', translated: () => false };
const mac: System = { ...linux, platform: 'darwin', libc: undefined };

/** A file that begins like a library of this kind. */
function library(name: string, fill: (bytes: Buffer) => void): string {
  const bytes = Buffer.alloc(128);
  fill(bytes);
  const file = folder.file(name);
  writeFileSync(file, bytes);
  return file;
}
const elf = (machine: number) => (bytes: Buffer) => {
  bytes.write('\x7fELF\x02\x01', 'latin1');
  bytes.writeUInt16LE(machine, 18);
};
const mach = (processor: number) => (bytes: Buffer) => {
  bytes.writeUInt32BE(0xcffaedfe, 0);
  bytes.writeUInt32LE(processor, 4);
};
const universal = (bytes: Buffer) => {
  bytes.writeUInt32BE(0xcafebabe, 0);
  bytes.writeUInt32BE(2, 4);
  bytes.writeUInt32BE(0x01000007, 8);
  bytes.writeUInt32BE(0x0100000c, 28);
};

const failed = (load: Partial<FailedLoad>): string =>
  explain({ system: linux, root: folder.path, file: undefined, chosen: undefined, reason: 'it failed', ...load });

describe('headers of binaries', () => {
  test.each<[string, (bytes: Buffer) => void, string | undefined]>([
    ['ELF x86-64', elf(0x3e), 'linux-x64'],
    ['ELF arm64', elf(0xb7), 'linux-arm64'],
    ['ELF of another machine', elf(0x16), 'linux-machine 0x16'],
    ['Mach-O x86-64', mach(0x01000007), 'darwin-x64'],
    ['Mach-O arm64', mach(0x0100000c), 'darwin-arm64'],
    ['universal Mach-O', universal, 'darwin-x64+arm64'],
    ['anything else', (bytes) => bytes.write('PK'), undefined],
  ])('%s', (name, fill, expected) => {
    const header = readBinaryHeader(library(name, fill));
    expect(header && `${header.platform}-${header.arch}`).toBe(expected);
  });

  test('a short file, a folder and a missing file have none', () => {
    writeFileSync(folder.file('short'), '\x7fELF');
    for (const file of [folder.file('short'), folder.path, folder.file('absent')]) expect(readBinaryHeader(file)).toBeUndefined();
  });

  test('this Node names its dynamic loader, and so its C library', () => {
    const header = readBinaryHeader(process.execPath);
    expect([header?.platform, header?.arch]).toEqual([process.platform, process.arch]);
    if (process.platform === 'linux') expect(thisSystem().libc).toBe(thisSystem().glibcVersion() ? 'glibc' : 'musl');
  });
});

describe('what a failed load says', () => {
  test('a Node for Intel processors under Rosetta', () => {
    const said = failed({ system: { ...mac, translated: () => true }, file: library('weightnorm.node', mach(0x0100000c)) });
    expect(said).toMatch(/is for darwin-arm64, and this Node is the one for Intel processors, translated by Rosetta; run Node for arm64/);
  });

  test('a Mac with the other processor', () => {
    expect(failed({ system: mac, file: library('weightnorm.node', mach(0x0100000c)) })).toMatch(/is for darwin-arm64, and this Node is for darwin-x64/);
    expect(failed({ system: mac, file: library('both.node', universal) })).not.toMatch(/is for darwin/);
  });

  test('a C library that is too old', () => {
    const reason = "/lib64/libc.so.6: version `GLIBC_2.28' not found (required by weightnorm.node)";
    expect(failed({ file: library('weightnorm.node', elf(0x3e)), reason })).toMatch(
      /needs glibc 2\.28, and this system has glibc 2\.17; "npx weightnorm build"/,
    );
  });

  test.each<[string, System['libc'], string, RegExp]>([
    [
      'musl on glibc',
      'glibc',
      'libc.musl-x86_64.so.1: cannot open shared object file: No such file or directory',
      /for systems with musl, and this one has glibc/,
    ],
    [
      'musl on glibc with its development files',
      'glibc',
      '/usr/lib/x86_64-linux-gnu/libc.so: invalid ELF header',
      /for systems with musl, and this one has glibc/,
    ],
    [
      'glibc on musl',
      'musl',
      'Error loading shared library ld-linux-x86-64.so.2: No such file or directory (needed by /app/weightnorm.node)',
      /for systems with glibc, and this one has musl/,
    ],
    [
      'symbols of glibc on musl',
      'musl',
      'Error relocating /app/weightnorm.node: gnu_get_libc_version: symbol not found',
      /for systems with glibc, and this one has musl/,
    ],
    [
      'another library',
      'glibc',
      'libstdc++.so.6: cannot open shared object file: No such file or directory',
      /needs the library libstdc\+\+\.so\.6, and this system does not have it/,
    ],
  ])('%s', (_, libc, reason, pattern) => {
    expect(failed({ system: { ...linux, libc }, file: library('weightnorm.node', elf(0x3e)), reason })).toMatch(pattern);
  });

  test('no file for this platform, and which there are', () => {
    const root = folder.file('package');
    for (const place of ['linux-arm64/weightnorm.musl.node', 'darwin-arm64/weightnorm.node']) {
      mkdirSync(path.join(root, 'prebuilds', path.dirname(place)), { recursive: true });
      writeFileSync(path.join(root, 'prebuilds', place), '');
    }
    expect(failed({ root })).toMatch(/no binary for linux-x64-glibc, only for (darwin-arm64, linux-arm64-musl|linux-arm64-musl, darwin-arm64)/);
  });

  test('no file at all: nothing was blocked; in a clone: build it', () => {
    expect(failed({})).toMatch(/has no binaries .* no install script makes or fetches them, so none was blocked/);
    mkdirSync(folder.file('clone/lib'), { recursive: true });
    writeFileSync(folder.file('clone/lib/index.ts'), '');
    expect(failed({ root: folder.file('clone') })).toMatch(/nothing has been built in this clone .*"npm run build"/);
  });

  test('an Electron archive, unless unpacked beside it', () => {
    const file = '/app/resources/app.asar/node_modules/weightnorm/prebuilds/darwin-arm64/weightnorm.node';
    expect(failed({ system: mac, file })).toMatch(/inside an Electron archive .*asarUnpack: \["\*\*\/node_modules\/weightnorm\/\*\*"\]/);
    expect(outsideArchive(file)).toBe(file);
    mkdirSync(folder.file('app.asar.unpacked'));
    writeFileSync(folder.file('app.asar.unpacked/weightnorm.node'), '');
    expect(outsideArchive(folder.file('app.asar/weightnorm.node'))).toBe(folder.file('app.asar.unpacked/weightnorm.node'));
  });

  test('anything else: what to try', () => {
    expect(failed({ file: library('weightnorm.node', elf(0x3e)) })).toMatch(/install the package again, or "npx weightnorm build"/);
    expect(failed({ file: library('text.node', (bytes) => bytes.write('text')) })).toMatch(/is not a library/);
    expect(failed({ file: folder.file('gone'), chosen: 'gone' })).toMatch(/WEIGHTNORM_ADDON is set to "gone"; there is no such file/);
  });
});
