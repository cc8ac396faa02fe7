import { execFileSync } from 'node:child_process';
import { closeSync, copyFileSync, mkdirSync, mkdtempSync, openSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { fail, WeightNormError } from '../errors.js';
import { packageRoot } from '../loader/find.js';
import type { Command } from './command.js';
import { compile, jobCount, storageFailure } from './compile/compile.js';
import { stageSources } from './compile/stage.js';
import { findTools } from './compile/tools.js';

const standard = path.join(packageRoot, 'build', 'Release', 'weightnorm.node');

/** Opens a file beside the target, so that a folder that cannot be written to is known before minutes of compiling. */
function reserve(target: string): string {
  const reserved = path.join(path.dirname(target), `.weightnorm-${process.pid}.node`);
  try {
    mkdirSync(path.dirname(target), { recursive: true });
    closeSync(openSync(reserved, 'w'));
    return reserved;
  } catch (error) {
    return fail('ERR_IO', `${target} cannot be written (${(error as Error).message}); -o names another file, and WEIGHTNORM_ADDON=<that file> loads it`, error);
  }
}

/** Loads the add-on in a process of its own, and computes with it. */
function tryOut(file: string): void {
  const script = `const { Device } = require(${JSON.stringify(packageRoot)}); Device.get('cpu').ones([2, 2]).readSync();`;
  try {
    execFileSync(process.execPath, ['-e', script], { env: { ...process.env, WEIGHTNORM_ADDON: file }, stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' });
  } catch (error) {
    fail('ERR_ADDON', `the add-on was compiled but does not work here: ${(error as { stderr?: string }).stderr?.trim() ?? (error as Error).message}`, error);
  }
}

async function buildInto(target: string, jobs: number, signal: AbortSignal, onProgress: (fraction: number) => void): Promise<void> {
  const reserved = reserve(target);
  let folder: string | undefined;
  let keep = false;
  try {
    try {
      folder = mkdtempSync(path.join(tmpdir(), 'weightnorm-build-'));
    } catch (error) {
      throw storageFailure((error as Error).message, tmpdir());
    }
    const tools = findTools(folder);
    let nodeDirectory: string;
    try {
      nodeDirectory = stageSources(packageRoot, folder);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT') fail('ERR_ADDON', `this copy of the package lacks its sources; install it again: ${message}`, error);
      throw storageFailure(message, folder);
    }
    const sources = JSON.parse(readFileSync(path.join(folder, 'sources.json'), 'utf8')) as Record<string, string[]>;
    const backend = process.platform === 'darwin' ? sources.metal : sources.noMetal;
    const count = [sources.common, sources.addon, sources.cpu, backend].flat().length;
    keep = true;
    // A compiler of this machine has its C++ library here too, and not every distribution has the static one.
    const file = await compile({
      ...{ folder, nodeDirectory, tools, jobs, signal, configure: ['--', '-Dstatic_cxx=false'] },
      onFile: (compiled) => onProgress(Math.min(1, compiled / count)),
    });
    tryOut(file);
    try {
      copyFileSync(file, reserved);
      renameSync(reserved, target);
    } catch (error) {
      throw storageFailure((error as Error).message, path.dirname(target));
    }
    keep = false;
  } catch (error) {
    if (error instanceof WeightNormError && error.code !== 'ERR_ADDON') keep = false;
    throw error;
  } finally {
    rmSync(reserved, { force: true });
    if (folder && !keep) rmSync(folder, { recursive: true, force: true });
  }
}

export const build: Command = {
  help: `Usage: weightnorm build [options]

Compiles the native add-on for this machine from the sources in the package, where no prebuilt binary fits. Needs python3,
make and a C++20 compiler (CXX names one), and node-gyp, which comes with npm. Downloads nothing.

Options:
  -o, --output   the file to write, to be named by WEIGHTNORM_ADDON; without it, the package's own build/Release
  --jobs         files compiled at a time; without it, as many as there are processors`,
  positionals: [],
  options: { output: { type: 'string', short: 'o' }, jobs: { type: 'string' } },
  run: async ({ values, signal, progress }) => {
    if (process.platform !== 'linux' && process.platform !== 'darwin')
      fail('ERR_ADDON', `weightnorm can be built on Linux and macOS, and this is ${process.platform}`);
    const target = typeof values.output === 'string' ? path.resolve(values.output) : standard;
    const jobs = jobCount(values.jobs as string | undefined, availableParallelism());
    const start = performance.now();
    await buildInto(target, jobs, signal, (fraction) => progress.update('compiling', fraction));
    const seconds = (performance.now() - start) / 1000;
    const use = target === standard ? '' : `; WEIGHTNORM_ADDON=${target} loads it`;
    return { json: { output: target, seconds }, lines: [`${target}: built in ${seconds.toFixed(0)} s${use}`] };
  },
};
