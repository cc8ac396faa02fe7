// The compiler, linker and binary tools of one LLVM release that can make Mach-O files on this machine.
import { spawnSync } from 'node:child_process';

const versions = [22, 21, 20, 19];
const runs = (program) => spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;

/** `{ version, cc, cxx, ar, ranlib, otool, nm }` of the newest release installed; throws with the packages to install. */
export function llvm() {
  for (const version of versions) {
    const tools = {
      cc: `clang-${version}`,
      cxx: `clang++-${version}`,
      linker: `ld64.lld-${version}`,
      ar: `llvm-ar-${version}`,
      ranlib: `llvm-ranlib-${version}`,
      nm: `llvm-nm-${version}`,
      objdump: `llvm-objdump-${version}`,
      installNameTool: `llvm-install-name-tool-${version}`,
    };
    if (Object.values(tools).every(runs)) return { version, ...tools };
  }
  throw new Error('no LLVM that makes Mach-O files: apt-get install --no-install-recommends clang-19 lld-19 llvm-19 cmake make python3');
}
