import { execFile } from 'node:child_process';
import path from 'node:path';

const root = path.resolve(__dirname, '..', '..');

export interface Outcome {
  code: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
}

/** Runs a script in a Node process of its own with `weightnorm` loaded as W; environment variables as given. */
export function runNode(script: string, env: Record<string, string> = {}, args: string[] = []): Promise<Outcome> {
  const prelude = `const W = require(${JSON.stringify(path.join(root, 'dist', 'index.js'))});`;
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [...args, '-e', `${prelude}\n(async () => {${script}\n})().catch((e) => { console.error(e); process.exit(1); });`],
      { env: { ...process.env, ...env }, timeout: 120_000, maxBuffer: 2 ** 26 },
      (error, stdout, stderr) => {
        const failure = error as (Error & { code?: number; signal?: string }) | null;
        resolve({ code: failure ? (failure.code ?? null) : 0, signal: failure?.signal ?? null, stdout, stderr });
      },
    );
  });
}

/** Where the built package is, for scripts that load it themselves (workers). */
export const packageEntry = path.join(root, 'dist', 'index.js');
