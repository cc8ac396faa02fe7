// Cross-compiles for Linux arm64 and runs the native tests, the NEON kernels among them, under qemu.
// On Debian: apt-get install --no-install-recommends cmake g++-aarch64-linux-gnu qemu-user-static
import path from 'node:path';
import { compile, configure } from './cmake.mjs';
import { run } from './run.mjs';

const build = path.join('build', 'arm64');
configure(
  build,
  [
    ...['-DCMAKE_BUILD_TYPE=Release', '-DCMAKE_SYSTEM_NAME=Linux', '-DCMAKE_SYSTEM_PROCESSOR=aarch64'],
    ...['-DCMAKE_CROSSCOMPILING_EMULATOR=qemu-aarch64-static', '-DCMAKE_EXE_LINKER_FLAGS=-static'],
  ],
  'aarch64-linux-gnu-g++',
);
compile(build);
run('ctest', ['--test-dir', build, '--output-on-failure', '--verbose']);
