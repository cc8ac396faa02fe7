import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import type { System } from './system.js';

import nodeGypBuild = require('node-gyp-build');

/** A bundler may have put this file anywhere, and an ES module it made has no `__dirname`. */
const here = typeof __dirname === 'string' ? __dirname : path.resolve(process.argv[1] ?? '.', '..');

function isPackage(directory: string): boolean {
  try {
    return (JSON.parse(readFileSync(path.join(directory, 'package.json'), 'utf8')) as { name?: string }).name === 'weightnorm';
  } catch {
    return false;
  }
}

/** The package's root folder; where a bundler moved this file, the installed package, else the bundle's folder. */
function findRoot(): string {
  const root = path.resolve(here, '..', '..');
  if (isPackage(root)) return root;
  for (const from of [here, process.cwd()]) {
    try {
      return path.dirname(createRequire(path.join(from, 'index.js')).resolve('weightnorm/package.json'));
    } catch {
      // Not installed there.
    }
  }
  return here;
}

export const packageRoot: string = findRoot();

/** Electron's archives hold no libraries that a system could map; what was unpacked lies beside. */
export function outsideArchive(file: string): string {
  const unpacked = file.replace(/\.asar(?=[\\/])/, '.asar.unpacked');
  return existsSync(unpacked) ? unpacked : file;
}

/** The add-on's file by node-gyp-build's rules. Throws where there is none. */
export function findAddon(root: string, system: System): string {
  const file = nodeGypBuild.resolve(root);
  // node-gyp-build takes every Linux but Alpine for one with glibc.
  const musl = file.replace(/\.glibc\.node$/, '.musl.node');
  return outsideArchive(system.libc === 'musl' && existsSync(musl) ? musl : file);
}
