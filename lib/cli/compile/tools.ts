import { spawnSync } from 'node:child_process';
import { existsSync, realpathSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fail } from '../../errors.js';

/** The programs that a build runs. */
export interface Tools {
  nodeGyp: string;
  python: string;
  compiler: string;
}

const install: Readonly<Record<string, string>> = {
  linux: 'on Debian and Ubuntu: apt-get install python3 make g++; on Fedora: dnf install python3 make gcc-c++; on Alpine: apk add python3 make g++',
  darwin: 'on macOS: xcode-select --install',
};
const advice = install[process.platform] ?? 'python3, make and a C++20 compiler are needed';

/** Output of a program, or undefined where it cannot be run or fails. `command` may hold options, as CXX may. */
function output(command: string, args: string[]): string | undefined {
  const [program, ...options] = command.split(' ');
  const result = spawnSync(program as string, [...options, ...args], { encoding: 'utf8' });
  return result.status === 0 ? `${result.stdout}${result.stderr}` : undefined;
}

/** Finds all of them, or says which one is missing and how to install it. `folder` is for trials. */
export function findTools(folder: string): Tools {
  const pythons = process.env.PYTHON ? [process.env.PYTHON] : ['python3', 'python'];
  const python = pythons.find((name) => output(name, ['-c', 'import sys; sys.exit(sys.version_info < (3, 8))']) !== undefined);
  if (!python) fail('ERR_ADDON', `building needs Python 3.8 or later, looked for as ${pythons.join(' and ')} (PYTHON names another); ${advice}`);
  if (output('make', ['--version']) === undefined) fail('ERR_ADDON', `building needs make, which is not on the PATH; ${advice}`);
  return { python, compiler: findCompiler(folder), nodeGyp: findNodeGyp() };
}

function findCompiler(folder: string): string {
  const source = path.join(folder, 'trial.cc');
  writeFileSync(source, '#include <bit>\n#include <concepts>\n#include <span>\nstatic_assert(std::has_single_bit(8u) && std::integral<int>);\n');
  const candidates = process.env.CXX ? [process.env.CXX] : ['c++', 'g++', 'clang++'];
  const there = candidates.filter((name) => output(name, ['--version']) !== undefined);
  if (there.length === 0) fail('ERR_ADDON', `building needs a C++20 compiler, looked for as ${candidates.join(', ')} (CXX names another); ${advice}`);
  const able = there.find((name) => output(name, ['-std=c++20', '-c', source, '-o', path.join(folder, 'trial.o')]) !== undefined);
  if (!able) {
    const version = output(there[0] as string, ['--version'])?.split('\n')[0];
    fail(
      'ERR_ADDON',
      `building needs a compiler that knows C++20, and ${there.join(', ')} (${version}) fails on a program of four lines; install a newer one and name it by CXX`,
    );
  }
  return able;
}

/** node-gyp as the project or npm brings it. */
function findNodeGyp(): string {
  const script = 'node-gyp/bin/node-gyp.js';
  if (process.env.npm_config_node_gyp && existsSync(process.env.npm_config_node_gyp)) return process.env.npm_config_node_gyp;
  for (const file of [path.join(process.cwd(), 'index.js'), __filename, ...npmPrograms()]) {
    try {
      return createRequire(file).resolve(script);
    } catch {
      // Not there.
    }
  }
  return fail('ERR_ADDON', 'building needs node-gyp, which comes with npm, and no npm was found; install one of them: npm install node-gyp');
}

/** Files inside the npm that runs this, the one beside node, and those on the PATH. */
function npmPrograms(): string[] {
  const beside = path.dirname(process.execPath);
  const found = [process.env.npm_execpath ?? '', path.join(beside, '..', 'lib', 'node_modules', 'npm', 'index.js')];
  for (const directory of [beside, ...(process.env.PATH ?? '').split(path.delimiter)]) found.push(path.join(directory, 'npm'));
  return found.filter((file) => file !== '' && existsSync(file)).map((file) => realpathSync(file));
}
