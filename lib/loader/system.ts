import { execFileSync } from 'node:child_process';
import { readBinaryHeader } from './binary-header.js';

/** The process that wants the add-on. */
export interface System {
  platform: string;
  arch: string;
  /** Only on Linux, where it can be told. */
  libc: 'glibc' | 'musl' | undefined;
  /** Version of Node without a v. */
  node: string;
  /** Version of the running glibc, such as 2.36; read when asked, because it is slow to learn. */
  glibcVersion(): string | undefined;
  /** Whether this process is translated by Rosetta. */
  translated(): boolean;
}

/** glibc or musl: the one whose dynamic loader this executable names. */
function libcOf(executable: string): System['libc'] {
  const interpreter = readBinaryHeader(executable)?.interpreter;
  if (!interpreter) return undefined;
  return /ld-musl-/.test(interpreter) ? 'musl' : 'glibc';
}

/** The system that this process runs on. */
export function thisSystem(): System {
  return {
    platform: process.platform,
    arch: process.arch,
    libc: process.platform === 'linux' ? libcOf(process.execPath) : undefined,
    node: process.versions.node,
    glibcVersion: () => (process.report?.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined)?.header?.glibcVersionRuntime,
    translated: () => {
      if (process.platform !== 'darwin' || process.arch !== 'x64') return false;
      try {
        return execFileSync('sysctl', ['-n', 'sysctl.proc_translated'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim() === '1';
      } catch {
        return false; // Intel Macs do not know the name.
      }
    },
  };
}
