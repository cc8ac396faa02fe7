// ES modules, CommonJS, TypeScript, and the command line of an installed package.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { root, tool } from '../run.mjs';
import { capture, expect } from './checks.mjs';
import { installed, manifest, printed } from './pack.mjs';

const largest = 16e6;

export async function checkModules({ checks, project, packed }) {
  const { bytes, files } = packed;
  await checks.check('the tarball holds what users run, and can be built from', () => {
    const wrong = files.filter((file) => /softmetal|^test\/|\.test\.|^binding\.gyp$|native\/test|^build\//i.test(file));
    expect(wrong.length === 0, `it holds ${wrong.join()}`);
    for (const file of ['native/core/ops.h', 'dist/sources/binding.gyp', 'examples/voice/config.json', 'LICENSE'])
      expect(files.includes(file), `it lacks ${file}`);
    expect(bytes <= largest, `it has ${bytes} bytes, more than ${largest}`);
  });
  await checks.check('npm runs no script when it installs it', () => {
    const { scripts } = manifest();
    const run = ['preinstall', 'install', 'postinstall', 'prepare'].filter((name) => name in scripts);
    expect(run.length === 0 && manifest().gypfile === false, `npm would run ${run.join() || 'node-gyp'}`);
    expect(!existsSync(installed(project, 'binding.gyp')), 'npm would run node-gyp for its binding.gyp');
  });
  for (const file of ['use.mjs', 'use.cjs']) {
    await checks.check(file === 'use.mjs' ? 'ES modules' : 'CommonJS', () => {
      const out = capture(process.execPath, [file], { cwd: project });
      expect(out === printed, out);
    });
  }
  await checks.check('both module systems share one instance', () => {
    const text = `import { createRequire } from 'node:module'; import { Tensor } from 'weightnorm'; console.log(Tensor === createRequire(import.meta.url)('weightnorm').Tensor);`;
    writeFileSync(path.join(project, 'both.mjs'), text);
    expect(capture(process.execPath, ['both.mjs'], { cwd: project }) === 'true', 'two copies were loaded');
  });
  await checks.check('the command line and the packed voice', () => {
    const run = (...args) => capture('npx', ['--no-install', 'weightnorm', ...args], { cwd: project });
    expect(run('--version') === manifest().version, 'no version was printed');
    const spoken = JSON.parse(run('synth', installed(project, 'examples/voice/sample-1.wav'), '-o', 'out.wav', '--json'));
    expect(spoken.audioSeconds > 1 && existsSync(path.join(project, 'out.wav')), spoken);
  });
}

// The second line fails to compile where the types are not seen.
const use = `
export const y: Tensor = new nn.WeightNormLinear(4, 2).forward(Device.default().ones([1, 4]));
// @ts-expect-error
export const z: string = y;
`;
const typed = {
  'use.mts': `import { type Tensor, Device, nn } from 'weightnorm';`,
  'use.cts': `import { type Tensor, Device, nn } from 'weightnorm';`,
};

/** Two ways of resolving modules, both with the package's types; publint and attw read the tarball. */
export async function checkTypes({ checks, project, packed: { tarball } }) {
  const folder = path.join(project, 'typed');
  mkdirSync(folder);
  for (const [file, line] of Object.entries(typed)) writeFileSync(path.join(folder, file), `${line}${use}`);
  const compilation = (module, resolution, files) => [
    ...[tool('typescript/bin/tsc'), '--noEmit', '--strict', '--target', 'es2022', '--lib', 'es2022,esnext.disposable'],
    ...['--types', 'node', '--typeRoots', path.join(root, 'node_modules/@types'), '--module', module, '--moduleResolution', resolution, ...files],
  ];
  for (const [module, resolution, files] of [
    ['node16', 'node16', Object.keys(typed)],
    ['esnext', 'bundler', ['use.mts']],
  ]) {
    await checks.check(
      `TypeScript, moduleResolution ${resolution}`,
      () => void capture(process.execPath, compilation(module, resolution, files), { cwd: folder }),
    );
  }
  await checks.check('publint --strict', () => void capture(process.execPath, [tool('publint/src/cli.js'), 'run', tarball, '--strict'], { cwd: root }));
  await checks.check('are the types wrong', () => void capture(process.execPath, [tool('@arethetypeswrong/cli/dist/index.js'), tarball], { cwd: root }));
}
