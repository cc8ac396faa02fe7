// `npx weightnorm build` in an installed package that has no binary for its machine.

import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { capture, complaint, expect } from './checks.mjs';
import { copyProject, installed, printed } from './pack.mjs';

// Python may be on the PATH as a script that looks for the real one.
const where = (name) => (name === 'python3' ? ['python3', ['-c', 'import sys; print(sys.executable)']] : ['sh', ['-c', `command -v ${name}`]]);
const which = (name) => execFileSync(...where(name), { encoding: 'utf8' }).trim();
const cli = (project) => installed(project, 'dist', 'cli', 'main.js');

/** A folder of programs to be the whole PATH. */
function programs(folder, names) {
  mkdirSync(folder);
  for (const name of names) symlinkSync(which(name), path.join(folder, name));
  return folder;
}

function script(file, text) {
  writeFileSync(file, `#!/bin/sh\n${text}\n`);
  chmodSync(file, 0o755);
  return file;
}

/** The first builds for real; the others fail before or while they compile. */
export async function checkBuild({ checks, scratch, project }) {
  const bare = copyProject(project, 'without a binary');
  rmSync(installed(bare, 'prebuilds'), { recursive: true });
  const temporary = path.join(scratch, 'temporary files');
  mkdirSync(temporary);
  chmodSync(temporary, 0o777);
  const env = { ...process.env, TMPDIR: temporary };
  const failing = (name, change, pattern) =>
    checks.check(`build: ${name}`, () => {
      const { env: changed = {}, args = [], ...rest } = change;
      const said = complaint(process.execPath, [cli(bare), 'build', ...args], { cwd: bare, env: { ...env, ...changed }, ...rest });
      expect(pattern.test(said) && said.startsWith('weightnorm: ') && !said.startsWith('weightnorm: unexpected'), said);
      expect(!existsSync(installed(bare, 'build', 'Release', 'weightnorm.node')), 'it left a binary');
    });

  const shell = ['sh', 'node', 'dirname', 'uname'];
  await failing(
    'no Python',
    { env: { PATH: programs(path.join(scratch, 'no-python'), [...shell, 'make', 'g++']) } },
    /needs Python 3\.8 or later.*apt-get install/,
  );
  await failing('no make', { env: { PATH: programs(path.join(scratch, 'no-make'), [...shell, 'python3', 'g++']) } }, /needs make/);
  await failing(
    'no compiler',
    { env: { PATH: programs(path.join(scratch, 'no-compiler'), [...shell, 'python3', 'make']) } },
    /needs a C\+\+20 compiler, looked for as c\+\+, g\+\+, clang\+\+/,
  );
  const old = script(path.join(scratch, 'old-g++'), 'case "$*" in --version) echo "g++ 7.5.0";; *) echo "unrecognized option" >&2; exit 1;; esac');
  await failing('a compiler without C++20', { env: { CXX: old } }, /knows C\+\+20, and .*old-g\+\+ \(g\+\+ 7\.5\.0\)/);
  const compiling = (then) => `case "$*" in --version) echo "g++ 99";; *trial.cc*) ;; *) ${then};; esac`;
  const crashing = script(path.join(scratch, 'crashing-g++'), compiling('echo "error.cc:1: error: this is broken" >&2; exit 1'));
  await failing(
    'a file that does not compile',
    { env: { CXX: crashing } },
    /could not be compiled: error\.cc:1: error: this is broken \(everything the compiler said is in .*build\.log\)/,
  );
  const filling = script(path.join(scratch, 'filling-g++'), compiling('echo "fatal error: error writing to x.s: No space left on device" >&2; exit 1'));
  await failing('a disk that fills up', { env: { CXX: filling } }, /no space left; a build needs about \d+ MB \(TMPDIR names another place\)/);
  await failing('no place for temporary files', { env: { TMPDIR: path.join(scratch, 'nowhere') } }, /building in .*nowhere failed/);
  await failing('a number of jobs that is none', { args: ['--jobs', 'many'] }, /--jobs is "many"/);
  if (process.getuid() === 0)
    await failing(
      'a folder that another user may not write',
      { uid: 65534, gid: 65534, env: { HOME: temporary } },
      /cannot be written .*-o names another file/,
    );
  else {
    chmodSync(installed(bare), 0o555);
    await failing('a folder that may not be written', {}, /cannot be written .*-o names another file/);
    chmodSync(installed(bare), 0o755);
  }
  await checks.check('build: from the packed sources, in a folder with spaces', () => {
    for (const entry of readdirSync(temporary)) rmSync(path.join(temporary, entry), { recursive: true });
    const said = capture('npx', ['--no-install', 'weightnorm', 'build', '--jobs', process.env.JOBS ?? '2'], { cwd: bare, env });
    expect(/build\/Release\/weightnorm\.node: built in \d+ s$/.test(said), said);
    const out = capture(process.execPath, ['use.mjs'], { cwd: bare });
    expect(out === printed, out);
    const left = [...readdirSync(temporary), ...readdirSync(installed(bare, 'build', 'Release')).filter((name) => name !== 'weightnorm.node')];
    expect(left.length === 0, `it left ${left.join()}`);
    expect(readFileSync(installed(bare, 'build', 'Release', 'weightnorm.node')).length > 1e6, 'the file is small');
  });
}
