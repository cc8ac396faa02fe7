#!/usr/bin/env node
// Builds build/<configuration>/weightnorm.node with node-gyp, from headers that came with npm packages.
import { pathToFileURL } from 'node:url';
import { makeNodeDirectory } from './node-headers.mjs';
import { root, run, tool } from './run.mjs';

export function buildAddon(configuration = 'Release') {
  const nodedir = makeNodeDirectory(root);
  const gyp = tool('node-gyp/bin/node-gyp.js');
  const jobs = process.env.JOBS ?? 'max';
  const debug = configuration === 'Debug' ? ['--debug'] : [];
  run(process.execPath, [gyp, 'configure', '--silent', `--nodedir=${nodedir}`, ...debug]);
  run(process.execPath, [gyp, 'build', '--silent', `--nodedir=${nodedir}`, '--jobs', jobs, ...debug]);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) buildAddon(process.argv.includes('--debug') ? 'Debug' : 'Release');
