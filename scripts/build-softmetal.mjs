// Builds build/softmetal/weightnorm.node: the add-on with the Metal backend, against the software Metal. For tests only.
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { root, run } from './run.mjs';

export function buildSoftMetal() {
  const compiler = process.env.SOFTMETAL_CLANG ?? 'clang++-19';
  const directory = path.join('build', 'softmetal-native');
  const quiet = { stdio: ['ignore', 'ignore', 'inherit'] };
  run('bash', ['test/softmetal/build.sh'], quiet);
  run('cmake', ['-S', '.', '-B', directory, '-DWEIGHTNORM_SOFTMETAL=ON', `-DCMAKE_CXX_COMPILER=${compiler}`, '-DCMAKE_BUILD_TYPE=Release'], quiet);
  run('cmake', ['--build', directory, '--parallel', process.env.JOBS ?? '2'], quiet);
  return directory;
}

if (import.meta.url === pathToFileURL(path.resolve(process.argv[1])).href) {
  process.chdir(root);
  buildSoftMetal();
}
