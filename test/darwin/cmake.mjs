// Builds CMakeLists.txt's Apple branch on Linux, without optimisation: other flags than binding.gyp's, and quick.
import { execFileSync } from 'node:child_process';
import path from 'node:path';

/** Returns the path of the bundle. */
export function buildWithCMake({ root, sdk, tools, arch, runtime, output, jobs, quiet }) {
  const options = { cwd: root, stdio: ['ignore', quiet, 'inherit'] };
  const variables = {
    CMAKE_TOOLCHAIN_FILE: path.join(root, 'test', 'darwin', 'toolchain.cmake'),
    CMAKE_BUILD_TYPE: 'Debug',
    CMAKE_CXX_FLAGS_DEBUG: '-O0',
    CMAKE_OBJCXX_FLAGS_DEBUG: '-O0',
    DARWIN_SDK: sdk,
    DARWIN_ARCH: arch,
    DARWIN_LLVM: tools.version,
    DARWIN_RUNTIME: runtime,
  };
  execFileSync('cmake', ['-S', '.', '-B', output, ...Object.entries(variables).map(([name, value]) => `-D${name}=${value}`)], options);
  execFileSync('cmake', ['--build', output, '--parallel', String(jobs), '--target', 'weightnorm'], options);
  return path.join(output, 'weightnorm.node');
}
