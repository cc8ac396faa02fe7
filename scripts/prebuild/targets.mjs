// The platforms that the package holds a binary for.
import path from 'node:path';
import { root } from '../run.mjs';

// The oldest glibc that Node 20's own binaries start with.
export const oldestGlibc = '2.28';

// zig turns evex512 off where nothing names it, and the functions of simd/avx512.cc then cannot turn AVX-512 on; nothing else uses it.
const linux = (arch, libc, processor, options) => ({
  ...{ name: `linux-${arch}-${libc}`, platform: 'linux', arch, libc },
  zig: ['-target', `${processor}-linux-${libc === 'musl' ? 'musl' : `gnu.${oldestGlibc}`}`, ...options],
});

export const targets = [
  linux('x64', 'glibc', 'x86_64', ['-mcpu=x86_64+evex512']),
  linux('x64', 'musl', 'x86_64', ['-mcpu=x86_64+evex512']),
  linux('arm64', 'glibc', 'aarch64', []),
  linux('arm64', 'musl', 'aarch64', []),
  { name: 'darwin-arm64', platform: 'darwin', arch: 'arm64' },
  { name: 'darwin-x64', platform: 'darwin', arch: 'x64' },
];

/** Where node-gyp-build looks for it. */
export const prebuilt = ({ platform, arch, libc }) => path.join(root, 'prebuilds', `${platform}-${arch}`, libc ? `weightnorm.${libc}.node` : 'weightnorm.node');

/** Those that can be built here: zig makes all of Linux on Linux x64, a Mac makes its own. */
export function buildable() {
  if (process.platform === 'linux' && process.arch === 'x64') return targets.filter(({ platform }) => platform === 'linux');
  return targets.filter(({ platform, arch }) => platform === 'darwin' && platform === process.platform && arch === process.arch);
}
