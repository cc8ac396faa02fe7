// Installs what examples/electron needs, without Electron's binary, and tests its page in headless Chromium.
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { ensureBuilt } from './ensure-built.mjs';
import { root, run } from './run.mjs';

await ensureBuilt();
const example = path.join(root, 'examples', 'electron');
const chromium = process.env.CHROMIUM ?? '/usr/bin/chromium';
if (!existsSync(chromium)) {
  console.error(`${chromium} was not found (apt-get install chromium, or set CHROMIUM to where it is)`);
  process.exit(1);
}
const installed = path.join(example, 'node_modules', '.package-lock.json');
const age = (file) => (existsSync(file) ? statSync(file).mtimeMs : 0);
if (age(installed) < age(path.join(example, 'package-lock.json')) - 1000) {
  run('npm', ['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: example });
}
run('npm', ['test', '--silent'], { cwd: example });
