import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { compile } from '../../dist/cli/compile/compile.js';
import { stageSources } from '../../dist/cli/compile/stage.js';
import { root, tool } from '../run.mjs';
import { prebuilt } from './targets.mjs';
import { writeCompiler } from './zig.mjs';

/** Compiles one target, from the same files and through the same steps as `weightnorm build`, and puts it, stripped, under prebuilds/. */
export async function buildTarget(target) {
  const folder = path.join(root, 'build', 'prebuild', target.name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const nodeDirectory = stageSources(root, folder);
  const compiler = target.zig ? writeCompiler(folder, target) : (process.env.CXX ?? 'c++');
  const built = await compile({
    ...{ folder, nodeDirectory, tools: { nodeGyp: tool('node-gyp/bin/node-gyp.js'), python: process.env.PYTHON ?? 'python3', compiler } },
    configure: [`--arch=${target.arch}`],
    env: target.zig ? { LDFLAGS: '-s' } : {},
    jobs: Number(process.env.JOBS ?? availableParallelism()),
  });
  if (target.platform === 'darwin') execFileSync('strip', ['-Sx', built]);
  const output = prebuilt(target);
  mkdirSync(path.dirname(output), { recursive: true });
  // Renamed, because a process may have the old file mapped.
  copyFileSync(built, `${output}.new`);
  renameSync(`${output}.new`, output);
  return output;
}
