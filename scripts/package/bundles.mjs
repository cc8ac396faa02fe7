// Programs made by bundlers: the package left outside, taken in, and taken in without its binaries.
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { installTools } from '../tools/install.mjs';
import { capture, complaint, expect } from './checks.mjs';
import { installed, printed } from './pack.mjs';

function webpackScript(modules, output, external) {
  const configuration = {
    ...{ mode: 'production', target: 'node', entry: './use.cjs', devtool: false },
    output: { path: path.dirname(output), filename: path.basename(output) },
    externals: external ? { weightnorm: 'commonjs weightnorm' } : {},
  };
  return `require(${JSON.stringify(path.join(modules, 'webpack'))})(${JSON.stringify(configuration)}, (error, stats) => {
  if (error) throw error;
  if (stats.hasErrors() || stats.hasWarnings()) throw new Error(stats.toString('errors-warnings'));
});`;
}

export async function checkBundles({ checks, scratch, project }) {
  const modules = installTools('bundlers');
  const bundlers = {
    esbuild: (output, external) =>
      capture(
        path.join(modules, '.bin', 'esbuild'),
        [
          ...[output.endsWith('.mjs') ? 'use.mjs' : 'use.cjs', '--bundle', '--platform=node', '--log-level=error', `--outfile=${output}`],
          ...[`--format=${output.endsWith('.mjs') ? 'esm' : 'cjs'}`, ...(external ? ['--external:weightnorm'] : [])],
        ],
        { cwd: project },
      ),
    webpack: (output, external) => {
      const script = path.join(project, 'bundle-webpack.cjs');
      writeFileSync(script, webpackScript(modules, output, external));
      return capture(process.execPath, [script], { cwd: project });
    },
  };
  const run = (file) => {
    const out = capture(process.execPath, [file], { cwd: path.dirname(file) });
    expect(out === printed, out);
  };
  await checks.check('esbuild, external, ES module', () => {
    const output = path.join(project, 'bundled', 'external.mjs');
    bundlers.esbuild(output, true);
    run(output);
  });
  for (const [name, bundle] of Object.entries(bundlers)) {
    await checks.check(`${name}, external`, () => {
      const output = path.join(project, 'bundled', `${name}-external.cjs`);
      bundle(output, true);
      run(output);
    });
    const whole = path.join(project, 'bundled', `${name}-whole.cjs`);
    await checks.check(`${name}, bundled, beside the installed package`, () => {
      bundle(whole, false);
      run(whole);
    });
    const alone = path.join(scratch, `${name}-alone`);
    await checks.check(`${name}, bundled, without binaries, says what to do`, () => {
      mkdirSync(alone);
      cpSync(whole, path.join(alone, 'main.cjs'));
      const said = complaint(process.execPath, ['main.cjs'], { cwd: alone });
      expect(/ERR_ADDON/.test(said) && /mark weightnorm as external/.test(said), said);
    });
    await checks.check(`${name}, bundled, with the binaries copied beside`, () => {
      cpSync(installed(project, 'prebuilds'), path.join(alone, 'prebuilds'), { recursive: true });
      run(path.join(alone, 'main.cjs'));
    });
  }
}
