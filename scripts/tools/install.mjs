// Programs that checks and releases need and development does not: each folder here is a manifest with the hashes of what it installs.

import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { root } from '../run.mjs';

/** Installs scripts/tools/<name> into build/tools/<name> unless it is there; returns that node_modules folder. */
export function installTools(name) {
  const manifest = path.join(root, 'scripts', 'tools', name);
  const folder = path.join(root, 'build', 'tools', name);
  const stamp = path.join(folder, 'installed');
  const lock = readFileSync(path.join(manifest, 'package-lock.json'), 'utf8');
  const modules = path.join(folder, 'node_modules');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return modules;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const file of ['package.json', 'package-lock.json']) cpSync(path.join(manifest, file), path.join(folder, file));
  // Forced, because some are for other platforms: they run under qemu or with another C library.
  execFileSync('npm', ['ci', '--force', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  writeFileSync(stamp, lock);
  return modules;
}
