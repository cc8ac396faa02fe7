// Builds build/softmetal/weightnorm.node: the add-on with the Metal backend, against the software Metal. For tests only.
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { compile, configure } from './cmake.mjs';
import { root, run } from './run.mjs';

export function buildSoftMetal() {
  const compiler = process.env.SOFTMETAL_CLANG ?? 'clang++-19';
  const directory = path.join('build', 'softmetal-native');
  run('bash', ['test/softmetal/build.sh'], { stdio: ['ignore', 'ignore', 'inherit'] });
  configure(directory, ['-DWEIGHTNORM_SOFTMETAL=ON', '-DCMAKE_BUILD_TYPE=Release'], compiler);
  compile(directory);
  return directory;
}

if (import.meta.url === pathToFileURL(path.resolve(process.argv[1])).href) {
  process.chdir(root);
  buildSoftMetal();
}
