// Installs and builds what is missing or older than its sources: makes `npm start` and `npm test` work first thing.
import { existsSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { root, run, toErrors } from './run.mjs';

/** When a file, or the newest in a folder of the repository, was changed. */
export function newest(entry) {
  const file = path.join(root, entry);
  if (!existsSync(file)) return 0;
  const stat = statSync(file);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(0, ...readdirSync(file).map((name) => newest(path.join(entry, name))));
}

const age = (file) => (existsSync(path.join(root, file)) ? statSync(path.join(root, file)).mtimeMs : -1);

/** `native: false` leaves the add-on alone. */
export async function ensureBuilt({ native: wanted = true } = {}) {
  if (age('node_modules/.package-lock.json') < age('package-lock.json') - 1000 || age('node_modules/.package-lock.json') < 0) {
    // Not `npm ci`: it refuses a lock file that lacks the optional binaries of other platforms. It has those of Linux, and npm
    // takes it to be complete: elsewhere it is left aside. What package.json names is exact.
    const lock = process.platform === 'linux' ? [] : ['--no-package-lock'];
    run('npm', ['install', '--no-save', '--no-audit', '--no-fund', ...lock], toErrors);
  }
  const native = Math.max(...['native', 'binding.gyp', 'sources.json', 'scripts/embed-kernels.mjs'].map(newest));
  if (wanted && age('build/Release/weightnorm.node') < native) {
    console.error('building the native add-on (about two minutes on two cores)');
    const { buildAddon } = await import('./build-addon.mjs');
    buildAddon();
  }
  if (age('dist/index.mjs') < Math.max(...['lib', 'tsconfig.json', 'docs/verification.json', 'binding.gyp', 'scripts/node-headers.mjs'].map(newest))) {
    const { buildTypeScript } = await import('./build-ts.mjs');
    buildTypeScript();
  }
}
