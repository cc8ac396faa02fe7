import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The package's root folder. */
export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

/** Options of {@link run} for what a command needs done first: its words are no part of that command's output, which may be JSON. */
export const toErrors = { stdio: ['inherit', 2, 'inherit'] };

/** Runs a program in the root folder with this terminal; exits with its status when it fails. */
export function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (result.error) {
    console.error(`${command} cannot be run: ${result.error.message}`);
    process.exit(1);
  }
  if (result.status !== 0) process.exit(result.status ?? 1);
}

/** The entry script of a program that a development package brings. */
export const tool = (file) => path.join(root, 'node_modules', file);
