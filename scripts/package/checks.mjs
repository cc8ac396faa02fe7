// Counts checks, and goes on after one that failed.
import { execFileSync, spawnSync } from 'node:child_process';

export class Checks {
  passed = 0;
  failed = 0;

  /** Runs `body`; a failure is what it throws. Returns whether it passed. */
  async check(name, body) {
    const start = performance.now();
    try {
      await body();
      this.passed++;
      console.log(`ok     ${name} (${((performance.now() - start) / 1000).toFixed(1)} s)`);
      return true;
    } catch (error) {
      this.failed++;
      console.log(`FAILED ${name}: ${error.message}`);
      return false;
    }
  }

  /** Prints the count and sets the exit code. */
  finish(suite) {
    console.log(`${suite}: ${this.passed} passed, ${this.failed} failed`);
    if (this.failed > 0) process.exitCode = 1;
  }
}

export function expect(ok, detail) {
  if (!ok) throw new Error(typeof detail === 'string' ? detail : JSON.stringify(detail));
}

/** What a program prints; a failure holds what it said on stderr. */
export function capture(command, args, options = {}) {
  const result = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 26, ...options });
  if (result.error) throw result.error;
  if (result.status !== 0)
    throw new Error(`${[command, ...args].join(' ')} gave ${result.status ?? result.signal}: ${(result.stderr || result.stdout).trim().slice(-2000)}`);
  return result.stdout.trim();
}

/** What a program that has to fail says on stderr. */
export function complaint(command, args, options = {}) {
  const result = spawnSync(command, args, { encoding: 'utf8', ...options });
  expect(result.status !== 0, `${[command, ...args].join(' ')} succeeded: ${result.stdout}`);
  return result.stderr;
}

/** Whether a program is on the PATH. */
export function present(program) {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
