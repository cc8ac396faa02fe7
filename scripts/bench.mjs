// `npm run bench`: builds what is missing, fetches onnxruntime where it is asked for, then runs `weightnorm bench`.
// `npm run bench -- roofline` counts under the software Metal instead, `npm run bench -- streaming` measures streams,
// `npm run bench -- kernels [threads [frames [direct|auto [filter]]]]` single convolutions beside this processor's peak, without Node.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { compile, configure } from './cmake.mjs';
import { ensureBuilt } from './ensure-built.mjs';
import { root, run, toErrors } from './run.mjs';

const onnxruntime = 'onnxruntime-node@1.30.0';

/** Into build/peers, apart from the package's own dependencies; its CPU binaries come with it, so no script need run. */
function installOnnxruntime() {
  const folder = path.join(root, 'build', 'peers');
  if (existsSync(path.join(folder, 'node_modules', 'onnxruntime-node'))) return;
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'package.json'), '{ "name": "peers", "private": true }\n');
  console.error(`installing ${onnxruntime} into build/peers (80 MB to fetch)`);
  run('npm', ['install', '--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund', '--silent', onnxruntime]);
}

const args = process.argv.slice(2);
await ensureBuilt();
if (args[0] === 'roofline') {
  run(process.execPath, ['scripts/build-softmetal.mjs'], toErrors);
  run(process.execPath, ['bench/roofline.mjs', ...args.slice(1)]);
} else if (args[0] === 'kernels') {
  const build = path.join('build', 'native');
  configure(build, ['-DCMAKE_BUILD_TYPE=Release']);
  compile(build, ['conv_bench']);
  run(path.join(build, 'conv_bench'), args.slice(1));
} else if (args[0] === 'streaming') {
  run(process.execPath, ['bench/streaming.mjs', ...args.slice(1)]);
} else {
  const against = args.find((arg, i) => args[i - 1] === '--against' || arg.startsWith('--against='));
  if (against?.includes('onnxruntime')) installOnnxruntime();
  run(process.execPath, ['dist/cli/main.js', 'bench', ...args]);
}
