// musl on a Debian that has glibc: its dynamic loader, and a C++ library for programs built in Alpine.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { capture, expect } from '../package/checks.mjs';
import { root } from '../run.mjs';

/** Where musl's loader has to be for programs that name it: Debian's package musl puts it there. */
export const muslLoader = '/lib/ld-musl-x86_64.so.1';

const lines = (text) => text.split('\n').filter(Boolean);

/** A folder that qemu takes for the system's root, with musl for arm64 from Debian's package, which is not installed. */
function arm64Root() {
  const folder = path.join(root, 'build', 'tools', 'musl-arm64');
  const library = path.join(folder, 'lib', 'aarch64-linux-musl', 'libc.so');
  if (existsSync(library)) return folder;
  rmSync(folder, { recursive: true, force: true });
  for (const part of ['lists/partial', 'cache/archives/partial']) mkdirSync(path.join(folder, 'apt', part), { recursive: true });
  const settings = {
    'Dir::State::Lists': path.join(folder, 'apt', 'lists'),
    'Dir::State::status': '/dev/null',
    'Dir::Cache': path.join(folder, 'apt', 'cache'),
    'APT::Sandbox::User': 'root',
    'APT::Architecture': 'arm64',
    'APT::Architectures::': 'arm64',
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  for (const args of [['update'], ['download', 'musl']])
    execFileSync('apt-get', ['-qq', ...options, ...args], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
  const archive = readdirSync(folder).find((name) => name.endsWith('.deb'));
  execFileSync('dpkg-deb', ['-x', path.join(folder, archive), folder]);
  rmSync(path.join(folder, 'apt'), { recursive: true });
  expect(existsSync(library), `${library} is not in Debian's package musl`);
  return folder;
}

/** The command that runs a program for musl of a processor, with a folder of libraries besides musl. */
export function muslCommand(arch, libraries) {
  const search = libraries ? [`LD_LIBRARY_PATH=${libraries}`] : [];
  if (arch === 'x64') return ['env', ...search];
  return ['qemu-aarch64-static', ...search.flatMap((setting) => ['-E', setting]), '-L', arm64Root()];
}

// What Debian's libstdc++ takes from glibc and musl lacks. Stacks are not unwound through it: who is given it has an unwinder of its own.
const glibcParts = `#include <stddef.h>
__attribute__((visibility("hidden"))) void *__dso_handle = &__dso_handle;
char __libc_single_threaded = 0;
int pthread_key_create(unsigned *, void (*)(void *));
int __pthread_key_create(unsigned *key, void (*end)(void *)) { return pthread_key_create(key, end); }
int _dl_find_object(void *address, void *found) { return -1; }
int getentropy(void *, size_t);
unsigned arc4random(void) { unsigned bits; getentropy(&bits, sizeof bits); return bits; }
unsigned long getauxval(unsigned long);
unsigned long __getauxval(unsigned long type) { return getauxval(type); }
`;

/**
 * Alpine's programs want a libstdc++.so.6 that is built for musl, which Debian does not have: the functions that one program asks for are
 * linked into one from Debian's static library. Returns its folder.
 */
export function cxxLibrary(arch, program) {
  const folder = path.join(root, 'build', 'tools', `cxx-musl-${arch}`);
  mkdirSync(folder, { recursive: true });
  const compiler = arch === 'x64' ? 'g++' : 'aarch64-linux-gnu-g++';
  const symbols = lines(capture('readelf', ['--dyn-syms', '--wide', program])).map((line) => line.trim().split(/\s+/));
  const undefinedNames = symbols.filter(([, , , , binding, , section]) => section === 'UND' && binding === 'GLOBAL').map((fields) => fields[7]);
  const copied = lines(capture('readelf', ['--relocs', '--wide', program])).filter((line) => /_COPY\s/.test(line));
  const names = [...undefinedNames, ...copied.map((line) => line.trim().split(/\s+/)[4])]
    .map((name) => name?.replace(/@.*/, ''))
    .filter((name) => /^(_Z|__cxa_|__dynamic_cast$|__once_proxy$)/.test(name ?? '') && name !== '__cxa_finalize' && name !== '__cxa_atexit');
  writeFileSync(path.join(folder, 'glibc.c'), glibcParts);
  const archives = ['libstdc++.a', 'libgcc_eh.a', 'libgcc.a'].map((name) => capture(compiler, [`-print-file-name=${name}`]));
  capture(compiler, ['-x', 'c', '-O1', '-fPIC', '-c', 'glibc.c', '-o', 'glibc.o'], { cwd: folder });
  capture(
    compiler,
    [
      ...['-shared', '-nostdlib', '-Wl,--soname,libstdc++.so.6', '-o', 'libstdc++.so.6', ...names.map((name) => `-Wl,--undefined=${name}`)],
      ...['glibc.o', ...archives],
    ],
    { cwd: folder },
  );
  return folder;
}
