import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { readBinaryHeader } from './binary-header.js';
import type { System } from './system.js';

/** A load that failed. */
export interface FailedLoad {
  system: System;
  /** The package's root folder. */
  root: string;
  /** The file that was tried; undefined where none was found. */
  file: string | undefined;
  /** The value of WEIGHTNORM_ADDON. */
  chosen: string | undefined;
  /** What Node, node-gyp-build or the dynamic loader said. */
  reason: string;
}

const build = '"npx weightnorm build" makes one from the packed sources with python3, make and a C++20 compiler';

/** What went wrong and what to do about it, for people who never saw a dynamic loader's message. */
export function explain(load: FailedLoad): string {
  const { system, file, chosen, reason } = load;
  const subject = chosen ? `WEIGHTNORM_ADDON is set to ${JSON.stringify(chosen)}` : undefined;
  const where = file ?? load.root;
  if (/\.asar[\\/]/.test(where))
    return `the package lies inside an Electron archive (${where}), from which no library can be mapped; keep it outside: asarUnpack: ["**/node_modules/weightnorm/**"]`;
  if (file === undefined) return missing(load);
  if (!existsSync(file)) return `${subject ?? 'the file has gone'}; there is no such file: build it or unset the variable`;
  const described = subject ?? `the binary is ${file}`;
  const header = readBinaryHeader(file);
  if (!header) return `${described}, which is not a library; install the package again, or ${build}`;
  if (header.platform !== system.platform || !header.arch.split('+').includes(system.arch))
    return otherMachine(described, `${header.platform}-${header.arch}`, system);
  const symbols = /version `(GLIBC_([\d.]+))' not found/.exec(reason);
  if (symbols) return `${described}, which needs glibc ${symbols[2]}, and this system has glibc ${system.glibcVersion() ?? 'of another version'}; ${build}`;
  const other = otherLibc(reason);
  if (other)
    return `${described}, which is for systems with ${other}, and this one has ${system.libc ?? 'another C library'}; install the package again on this system, or ${build}`;
  const library = absentLibrary.exec(reason);
  if (library) return `${described}, which needs the library ${library[1]}, and this system does not have it; install that, or ${build}`;
  return `${described}; ${chosen ? 'build it again or unset the variable' : `install the package again, or ${build}`}`;
}

function otherMachine(described: string, made: string, system: System): string {
  const self = `${system.platform}-${system.arch}`;
  if (system.translated())
    return `${described}, which is for ${made}, and this Node is the one for Intel processors, translated by Rosetta; run Node for arm64 ("node -p process.arch" has to print arm64)`;
  return `${described}, which is for ${made}, and this Node is for ${self}; install the package with this Node on this machine (a node_modules folder cannot be carried from one platform to another where it was built with "weightnorm build"), or use a Node for ${made}`;
}

/** How glibc's loader and musl's say that a library is not there. */
const absentLibrary = /(?:^|: |library )([\w.+-]+\.so[\w.]*): (?:cannot open shared object file|No such file)/;

/** The C library that a binary wants where the system's dynamic loader has the other one. */
function otherLibc(reason: string): 'glibc' | 'musl' | undefined {
  const library = absentLibrary.exec(reason)?.[1] ?? '';
  // Where glibc's development files are, libc.so is a text for linkers.
  if (/^(libc\.musl-.*|ld-musl-.*|libc\.so)$/.test(library) || /\blibc\.so: invalid ELF header/.test(reason)) return 'musl';
  // musl takes itself for libc.so.6, and then lacks some of its functions.
  if (/^(lib(c|m|pthread|dl|rt)\.so\.\d|ld-linux.*)$/.test(library) || /Error relocating .*: symbol not found/.test(reason)) return 'glibc';
  return undefined;
}

/** No file for this platform, or none at all. */
function missing({ root, system }: FailedLoad): string {
  if (existsSync(path.join(root, 'lib', 'index.ts')))
    return `nothing has been built in this clone (${root}); "npm run build" does it, with python3, make and a C++20 compiler`;
  const names = prebuilt(root);
  const self = [system.platform, system.arch, system.libc].filter(Boolean).join('-');
  if (names.length === 0)
    return (
      `this copy of the package has no binaries (looked in ${path.join(root, 'prebuilds')}). They are part of what npm installs: no install script makes or fetches ` +
      `them, so none was blocked; a bundler, a pruning tool or an installation from git left them out. Install it from npm and keep its folder whole (mark weightnorm ` +
      `as external for a bundler); or ${build}`
    );
  return `there is no binary for ${self}, only for ${names.join(', ')} (Rosetta and qemu change what Node calls its platform); ${build}`;
}

function prebuilt(root: string): string[] {
  try {
    return readdirSync(path.join(root, 'prebuilds')).flatMap((tuple) =>
      readdirSync(path.join(root, 'prebuilds', tuple))
        .filter((file) => file.endsWith('.node'))
        .map((file) => [tuple, ...file.split('.').slice(1, -1)].join('-')),
    );
  } catch {
    return [];
  }
}
