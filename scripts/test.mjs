// `npm test`: builds what is missing, then runs the native tests and the specs, on every device this machine can offer.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { compile, configure } from './cmake.mjs';
import { ensureBuilt } from './ensure-built.mjs';
import { root, tool } from './run.mjs';

await ensureBuilt();

const has = (program) => spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;
const failures = [];
const attempt = (label, command, args, env = {}) => {
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } });
  if (status !== 0) failures.push(label);
};

const filters = process.argv.slice(2);

if (filters.length === 0) {
  if (has('cmake')) {
    const build = path.join('build', 'native');
    configure(build, ['-DCMAKE_BUILD_TYPE=Release']);
    compile(build);
    attempt('native tests', 'ctest', ['--test-dir', build, '--output-on-failure', '--verbose']);
  } else {
    console.log('native tests left out: they need cmake (apt-get install cmake, brew install cmake)');
  }
}

const jest = tool('jest/bin/jest.js');
attempt('specs', process.execPath, [jest, ...filters]);

// The same specs with the Metal backend under the software Metal.
if (existsSync(path.join(root, 'scripts', 'build-softmetal.mjs'))) {
  if (has('clang++-19') && has('cmake')) {
    attempt('build of the software Metal', process.execPath, ['scripts/build-softmetal.mjs']);
    if (filters.length === 0) {
      attempt('tests of the software Metal', 'bash', ['test/softmetal/run-tests.sh']);
      attempt('native tests on the software Metal', 'ctest', ['--test-dir', 'build/softmetal-native', '--output-on-failure', '--verbose']);
    }
    attempt('specs on the software Metal', process.execPath, [jest, ...filters], { WEIGHTNORM_ADDON: 'softmetal' });
    // Products again with own kernels where Metal Performance Shaders served.
    if (filters.length === 0) {
      attempt('specs of products without MPS', process.execPath, [jest, 'test/functional/operations', 'test/nn/layers'], {
        WEIGHTNORM_ADDON: 'softmetal',
        WEIGHTNORM_MPS: '0',
      });
    }
  } else {
    const advice = 'specs on the software Metal left out: they need clang-19 and cmake (apt-get install cmake clang-19 libclang-rt-19-dev llvm-19 lld-19)';
    console.log(advice);
    if (process.env.WEIGHTNORM_REQUIRE_METAL === '1') failures.push(advice);
  }
}

if (failures.length > 0) {
  console.error(`failed: ${failures.join(', ')}`);
  process.exit(1);
}
