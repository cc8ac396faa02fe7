// Packs the package as a release does, and installs it as a user does.
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { root } from '../run.mjs';
import { capture } from './checks.mjs';

export function makeScratch() {
  const scratch = mkdtempSync(path.join(tmpdir(), 'weightnorm-package-'));
  chmodSync(scratch, 0o755); // Some checks run as another user.
  return scratch;
}

/**
 * Packs what the working tree would publish, with these binaries: pairs of a file and its place under prebuilds/.
 * Returns the tarball, its size and the names of its files.
 */
export function pack(scratch, binaries) {
  const staged = path.join(scratch, 'staged');
  const listed = JSON.parse(capture('npm', ['pack', '--dry-run', '--json'], { cwd: root }))[0].files.map(({ path: file }) => file);
  for (const file of listed.filter((name) => !name.startsWith('prebuilds/'))) cpSync(path.join(root, file), path.join(staged, file));
  for (const [file, place] of binaries) cpSync(file, path.join(staged, 'prebuilds', place));
  const [{ filename, files, size }] = JSON.parse(capture('npm', ['pack', '--json', '--pack-destination', scratch], { cwd: staged }));
  return { tarball: path.join(scratch, filename), bytes: size, files: files.map(({ path: file }) => file) };
}

/** What users' programs look like: the same few lines in both module systems. */
const body = `
const device = Device.get('cpu');
const w = await functional.weightNorm(device.tensor([[3, 4], [6, 8]]), device.tensor([[5], [1]])).read();
console.log([...w].map((x) => x.toFixed(3)).join());`;
export const printed = '3.000,4.000,0.600,0.800';

/** Makes a project and installs the tarball there. */
export function makeProject(scratch, name, tarball) {
  const project = path.join(scratch, name);
  mkdirSync(project);
  writeFileSync(path.join(project, 'package.json'), '{ "name": "scratch", "private": true }');
  capture('npm', ['install', '--silent', '--no-audit', '--no-fund', '--ignore-scripts', tarball], { cwd: project });
  writeFileSync(path.join(project, 'use.mjs'), `import { Device, functional } from 'weightnorm';${body}\n`);
  writeFileSync(path.join(project, 'use.cjs'), `const { Device, functional } = require('weightnorm');\n(async () => {${body}\n})();\n`);
  return project;
}

/** A copy of a project whose package may be damaged. */
export function copyProject(project, name) {
  const copy = path.join(path.dirname(project), name);
  cpSync(project, copy, { recursive: true, verbatimSymlinks: true });
  return copy;
}

/** The installed package in a project. */
export const installed = (project, ...rest) => path.join(project, 'node_modules', 'weightnorm', ...rest);

export const manifest = () => JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
