// Makes `npm start`, `npm test` and `npm run load` work first thing: builds weightnorm where this is a checkout of it, installs, compiles.
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const here = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const checkout = path.resolve(here, '..', '..', 'scripts', 'ensure-built.mjs');
if (existsSync(checkout)) await (await import(pathToFileURL(checkout).href)).ensureBuilt();

const age = (file) => (existsSync(path.join(here, file)) ? statSync(path.join(here, file)).mtimeMs : -1);
const run = (command, args) => {
  const { status } = spawnSync(command, args, { cwd: here, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
};
if (age('node_modules/.package-lock.json') < age('package-lock.json') - 1000 || age('node_modules/.package-lock.json') < 0)
  run('npm', ['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']);
run(process.execPath, ['node_modules/typescript/bin/tsc']);
