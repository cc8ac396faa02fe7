// Cross-compiles for Linux arm64 and runs the native tests, the NEON kernels among them, under qemu.
// On Debian: apt-get install --no-install-recommends cmake g++-aarch64-linux-gnu qemu-user-static
import path from 'node:path';
import { run } from './run.mjs';

const build = path.join('build', 'arm64');
const quiet = { stdio: ['ignore', 'ignore', 'inherit'] };
run(
  'cmake',
  [
    ...['-S', '.', '-B', build, '-DCMAKE_BUILD_TYPE=Release'],
    ...['-DCMAKE_SYSTEM_NAME=Linux', '-DCMAKE_SYSTEM_PROCESSOR=aarch64', '-DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++'],
    ...['-DCMAKE_CROSSCOMPILING_EMULATOR=qemu-aarch64-static', '-DCMAKE_EXE_LINKER_FLAGS=-static'],
  ],
  quiet,
);
run('cmake', ['--build', build, '--parallel', process.env.JOBS ?? '2'], quiet);
run('ctest', ['--test-dir', build, '--output-on-failure', '--verbose']);
