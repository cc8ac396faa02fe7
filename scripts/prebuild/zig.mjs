// zig's C++ compiler: clang with the C and C++ libraries of every target, glibc's down to 2.28 and musl's among them.
import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { root } from '../run.mjs';
import { installTools } from '../tools/install.mjs';

/** Writes a compiler for the target into the folder, to be named by CXX. */
export function writeCompiler(folder, { zig }) {
  const modules = path.join(installTools('zig'), '@zigc');
  const options = ['-fno-sanitize=undefined', '-ffunction-sections', '-fdata-sections', '-Wno-unused-command-line-argument', '-Wno-nullability-completeness'];
  const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const file = path.join(folder, 'zig-c++');
  writeFileSync(
    file,
    `#!/bin/sh
export ZIG_LIB_DIR=${quote(path.join(modules, 'lib'))}
export ZIG_GLOBAL_CACHE_DIR=${quote(path.join(root, 'build', 'tools', 'zig-cache'))}
export ZIG_LOCAL_CACHE_DIR="$ZIG_GLOBAL_CACHE_DIR"
exec ${quote(path.join(modules, `linux-${process.arch}`, 'bin', 'zig'))} c++ ${[...zig, ...options].join(' ')} "$@"
`,
  );
  chmodSync(file, 0o755);
  return file;
}
