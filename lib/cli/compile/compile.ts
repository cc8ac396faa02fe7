import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import path from 'node:path';
import { fail, WeightNormError } from '../../errors.js';
import type { Tools } from './tools.js';

export interface Compilation {
  /** Made by stageSources. */
  folder: string;
  nodeDirectory: string;
  tools: Tools;
  /** Added to the environment of node-gyp. */
  env?: NodeJS.ProcessEnv;
  /** Added to the arguments of node-gyp's configure. */
  configure?: string[];
  jobs: number;
  signal?: AbortSignal;
  /** Told the number of files compiled so far. */
  onFile?: (count: number) => void;
}

/** Runs node-gyp in a staged folder; returns the add-on's file. Everything it prints is in build.log there. */
export async function compile(options: Compilation): Promise<string> {
  const { folder, nodeDirectory, tools, jobs } = options;
  const common = [tools.nodeGyp, '--nodedir', nodeDirectory, '--python', tools.python];
  const env = {
    ...process.env,
    CXX: tools.compiler,
    // binding.gyp runs `node`, which has to be this one.
    PATH: `${path.dirname(process.execPath)}${path.delimiter}${process.env.PATH ?? ''}`,
    ...options.env,
  };
  await nodeGyp([...common, 'configure', ...(options.configure ?? [])], env, options);
  await nodeGyp([...common, 'build', '--jobs', String(jobs)], env, options);
  return path.join(folder, 'build', 'Release', 'weightnorm.node');
}

function nodeGyp(args: string[], env: NodeJS.ProcessEnv, { folder, signal, onFile }: Compilation): Promise<void> {
  return new Promise((resolve, reject) => {
    const log = path.join(folder, 'build.log');
    const file = createWriteStream(log, { flags: 'a' });
    const child = spawn(process.execPath, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'], signal });
    let text = '';
    let compiled = 0;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        file.write(chunk);
        text = `${text}${chunk}`.slice(-100_000);
        compiled += chunk.match(/^ {2}(?:CXX|OBJCXX)\(/gm)?.length ?? 0;
        onFile?.(compiled);
      });
    }
    file.on('error', (error) => reject(storageFailure(error.message, folder)));
    child.on('error', (error) =>
      reject(
        error.name === 'AbortError'
          ? new WeightNormError('ERR_ABORTED', 'the build was aborted', { cause: error })
          : new WeightNormError('ERR_ADDON', `node-gyp cannot be run: ${error.message}`, { cause: error }),
      ),
    );
    child.on('close', (code) => file.end(() => (code === 0 ? resolve() : reject(buildFailure(text, folder, log)))));
  });
}

const full = /No space left on device|ENOSPC|Disk quota exceeded|EDQUOT/;

/** The error for a file that cannot be written. */
export function storageFailure(reason: string, target: string): WeightNormError {
  const advice = full.test(reason) ? 'there is no space left; a build needs about 50 MB (TMPDIR names another place)' : 'it cannot be written to';
  return new WeightNormError('ERR_IO', `building in ${target} failed, because ${advice}: ${reason}`);
}

function buildFailure(text: string, folder: string, log: string): WeightNormError {
  const lines = text.split('\n');
  const first =
    lines.find((line) => full.test(line)) ??
    lines.find((line) => /\berror\b[: ]|^gyp ERR! stack|undefined reference|Killed/i.test(line)) ??
    'no reason was given';
  if (full.test(first)) return storageFailure(first.trim(), folder);
  const memory = /Killed|cc1plus.*signal/.test(text) ? ' (the compiler was killed, probably for want of memory: --jobs 1 needs least)' : '';
  return new WeightNormError('ERR_ADDON', `the add-on could not be compiled${memory}: ${first.trim()} (everything the compiler said is in ${log})`);
}

/** The number of jobs that `--jobs` asks for. */
export function jobCount(value: string | undefined, processors: number): number {
  if (value === undefined) return processors;
  const jobs = Number(value);
  if (!Number.isInteger(jobs) || jobs < 1) fail('ERR_ARGUMENT', `--jobs is ${JSON.stringify(value)}; it must be a whole number of at least 1`);
  return jobs;
}
