#!/usr/bin/env node
// Builds build/<configuration>/weightnorm.node with node-gyp, from headers that came with npm packages.
import { utimesSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { makeNodeDirectory } from './node-headers.mjs';
import { root, run, toErrors, tool } from './run.mjs';

export function buildAddon(configuration = 'Release') {
  const nodedir = makeNodeDirectory(root);
  const gyp = tool('node-gyp/bin/node-gyp.js');
  const jobs = process.env.JOBS ?? 'max';
  const debug = configuration === 'Debug' ? ['--debug'] : [];
  run(process.execPath, [gyp, 'configure', '--silent', `--nodedir=${nodedir}`, ...debug], toErrors);
  run(process.execPath, [gyp, 'build', '--silent', `--nodedir=${nodedir}`, '--jobs', jobs, ...debug], toErrors);
  // Newer than every source, also where make found nothing to do.
  const now = new Date();
  utimesSync(path.join(root, 'build', configuration, 'weightnorm.node'), now, now);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) buildAddon(process.argv.includes('--debug') ? 'Debug' : 'Release');
