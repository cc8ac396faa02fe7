// Packs the package, installs the tarball into a scratch project, and uses it from ES modules, CommonJS and TypeScript.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ensureBuilt } from './ensure-built.mjs';
import { root, tool } from './run.mjs';

await ensureBuilt();
let passed = 0;
const capture = (command, args, cwd) => execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim();
const check = (name, ok, detail) => {
  if (!ok) throw new Error(`${name}: ${detail}`);
  passed++;
};

const scratch = mkdtempSync(path.join(tmpdir(), 'weightnorm-package-'));
try {
  // What a release does for each platform: the binary goes where node-gyp-build looks.
  const staged = path.join(scratch, 'staged');
  const files = JSON.parse(capture('npm', ['pack', '--dry-run', '--json'], root))[0].files.map(({ path: file }) => file);
  for (const file of files) {
    mkdirSync(path.dirname(path.join(staged, file)), { recursive: true });
    cpSync(path.join(root, file), path.join(staged, file));
  }
  const prebuilds = path.join(staged, 'prebuilds', `${process.platform}-${process.arch}`);
  mkdirSync(prebuilds, { recursive: true });
  cpSync(path.join(root, 'build', 'Release', 'weightnorm.node'), path.join(prebuilds, 'weightnorm.node'));
  check('nothing of the software Metal is packed', !files.some((file) => /softmetal/i.test(file)), files.filter((file) => /softmetal/i.test(file)).join());

  const tarball = path.join(scratch, capture('npm', ['pack', '--silent', '--pack-destination', scratch], staged).split('\n').pop());
  const project = path.join(scratch, 'project');
  mkdirSync(project);
  writeFileSync(path.join(project, 'package.json'), '{ "name": "scratch", "private": true }');
  capture('npm', ['install', '--silent', '--no-audit', '--no-fund', tarball], project);

  const body = `
const device = Device.get('cpu');
const w = await functional.weightNorm(device.tensor([[3, 4], [6, 8]]), device.tensor([[5], [1]])).read();
console.log([...w].map((x) => x.toFixed(3)).join());`;
  writeFileSync(path.join(project, 'use.mjs'), `import { Device, functional } from 'weightnorm';${body}`);
  writeFileSync(path.join(project, 'use.cjs'), `const { Device, functional } = require('weightnorm');(async () => {${body}})();`);
  writeFileSync(
    path.join(project, 'both.mjs'),
    `import { createRequire } from 'node:module'; import { Tensor } from 'weightnorm'; console.log(Tensor === createRequire(import.meta.url)('weightnorm').Tensor);`,
  );
  for (const file of ['use.mjs', 'use.cjs']) {
    const out = capture(process.execPath, [file], project);
    check(file, out === '3.000,4.000,0.600,0.800', out);
  }
  check('both module systems share one instance', capture(process.execPath, ['both.mjs'], project) === 'true', 'two copies were loaded');
  const bin = path.join(project, 'node_modules', '.bin', 'weightnorm');
  check('the command line', /^\d+\.\d+\.\d+$/.test(capture(bin, ['--version'], project)), 'no version was printed');
  const spoken = JSON.parse(
    capture(bin, ['synth', path.join(project, 'node_modules/weightnorm/examples/voice/sample-1.wav'), '-o', 'out.wav', '--json'], project),
  );
  check('synthesis with the packed voice', spoken.audioSeconds > 1, JSON.stringify(spoken));

  const sources = { 'use.mts': `import { type Tensor, Device, nn } from 'weightnorm';`, 'use.cts': `import { type Tensor, Device, nn } from 'weightnorm';` };
  for (const [file, line] of Object.entries(sources)) {
    writeFileSync(path.join(project, file), `${line}\nexport const y: Tensor = new nn.WeightNormLinear(4, 2).forward(Device.default().ones([1, 4]));\n`);
  }
  for (const resolution of [
    ['node16', 'node16'],
    ['esnext', 'bundler'],
  ]) {
    const typed = resolution[1] === 'bundler' ? ['use.mts'] : Object.keys(sources);
    capture(
      process.execPath,
      [
        tool('typescript/bin/tsc'),
        '--noEmit',
        '--strict',
        '--target',
        'es2022',
        '--lib',
        'es2022,esnext.disposable',
        '--types',
        'node',
        '--typeRoots',
        path.join(root, 'node_modules/@types'),
        '--module',
        resolution[0],
        '--moduleResolution',
        resolution[1],
        ...typed,
      ],
      project,
    );
    check(`types under ${resolution[1]}`, true);
  }
  capture(process.execPath, [tool('publint/src/cli.js'), 'run', tarball, '--strict'], root);
  check('publint', true);
  capture(process.execPath, [tool('@arethetypeswrong/cli/dist/index.js'), tarball], root);
  check('are the types wrong', true);
} catch (error) {
  console.error(error.message);
  console.log(`package: ${passed} passed, 1 failed`);
  process.exitCode = 1;
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
if (!process.exitCode) console.log(`package: ${passed} passed, 0 failed`);
