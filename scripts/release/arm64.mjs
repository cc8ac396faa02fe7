// Runs the arm64 binary in Node 20, 22 and 24 under qemu.
import path from 'node:path';
import { expect } from '../package/checks.mjs';
import { exercise } from '../package/environments.mjs';
import { installTools } from '../tools/install.mjs';

// What g++-aarch64-linux-gnu brings: glibc and libstdc++ for arm64.
export const systemRoot = '/usr/aarch64-linux-gnu';

export function runUnderQemu(project, release, reference) {
  const node = path.join(installTools('nodes-arm64'), release, 'bin', 'node');
  const result = exercise(project, ['qemu-aarch64-static', '-L', systemRoot, node], { frames: 12, reference });
  expect(result.arch === 'arm64' && result.loaded === path.join('prebuilds', 'linux-arm64', 'weightnorm.glibc.node'), result);
  return result.node;
}
