// Runs binaries for musl on a Debian that has glibc. No Node for musl can be had from npm: Bun for musl, which has Node-API, takes its
// place for the installed package, and a small program for the binary alone. The release workflow runs Node in Alpine.
import { execFileSync } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { capture, expect } from '../package/checks.mjs';
import { exercise } from '../package/environments.mjs';
import { prebuilt } from '../prebuild/targets.mjs';
import { writeCompiler } from '../prebuild/zig.mjs';
import { root } from '../run.mjs';
import { installTools } from '../tools/install.mjs';
import { cxxLibrary, muslCommand } from './musl-system.mjs';

const emulated = ({ arch }) => (arch === 'x64' ? '' : ' under qemu');

/** A program that maps the add-on as Node does, with functions of Node-API that fail, and asks it for its version. */
function hostSource(file) {
  const symbols = execFileSync('readelf', ['--dyn-syms', '--wide', file], { encoding: 'utf8' });
  const names = new Set([...symbols.matchAll(/ UND (napi_\w+|node_api_\w+)/g)].map((match) => match[1]));
  return `#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
${[...names].map((name) => `__attribute__((visibility("default"))) int ${name}(void) { return 9; }`).join('\n')}
int main(int count, char **arguments) {
  void *library = dlopen(arguments[1], RTLD_NOW);
  if (!library) return fprintf(stderr, "%s\\n", dlerror()), 1;
  int (*version)(void) = (int (*)(void))dlsym(library, "node_api_module_get_api_version_v1");
  if (!version || !dlsym(library, "napi_register_module_v1")) return fprintf(stderr, "an entry point is missing\\n"), 1;
  printf("Node-API %d\\n", version());
  return count != 2;
}
`;
}

/** Loads a target's binary under musl, and runs the native tests on the objects that it was linked from. Returns in words what ran. */
export function runNatively(target) {
  const [command, ...args] = muslCommand(target.arch);
  const run = (...program) => capture(command, [...args, ...program], { timeout: 900_000 });
  const folder = path.join(root, 'build', 'prebuild', target.name);
  const compiler = writeCompiler(folder, target);
  const compile = (options) => execFileSync(compiler, ['-dynamic', ...options], { cwd: root, stdio: ['ignore', 'ignore', 'pipe'], maxBuffer: 1 << 28 });

  const host = path.join(folder, 'host');
  writeFileSync(`${host}.cc`, `extern "C" {\n${hostSource(prebuilt(target))}}\n`);
  compile([`${host}.cc`, '-rdynamic', '-w', '-o', host]);
  const said = run(host, prebuilt(target));
  expect(said === 'Node-API 9', said);

  const objects = path.join(folder, 'build', 'Release', 'obj.target', 'weightnorm', 'native');
  const engine = ['core', 'cpu', 'cpu/simd', 'metal'].flatMap((part) =>
    readdirSync(path.join(objects, part))
      .filter((name) => name.endsWith('.o'))
      .map((name) => path.join(objects, part, name)),
  );
  const sources = (part, ending) =>
    readdirSync(path.join(root, 'native', 'test', part))
      .filter((name) => name.endsWith(ending))
      .map((name) => path.join('native', 'test', part, name));
  let passed = 0;
  for (const files of [...sources('', '_test.cc').map((file) => [file]), sources('ops', '.cc')]) {
    const name = files.length === 1 ? path.basename(files[0], '.cc') : 'ops';
    const program = path.join(folder, `native-${name}`);
    compile(['-std=c++20', '-O1', '-ffp-contract=off', '-Inative', ...files, ...engine, '-pthread', '-o', program]);
    const [, count, failures] = /: (\d+) passed, (\d+) failed/.exec(run(program)) ?? [];
    expect(failures === '0' && Number(count) > 0, `the native test ${name} counted ${count} passed, ${failures} failed`);
    passed += Number(count);
  }
  return `${passed} native checks on its objects${emulated(target)}`;
}

/** The installed package in Bun for musl: layers, a vocoder, errors and a worker, compared with Node. Returns in words what ran. */
export function runInBun(project, target, reference) {
  const bun = path.join(installTools('runtimes-musl'), '@oven', `bun-linux-${target.arch === 'x64' ? 'x64' : 'aarch64'}-musl`, 'bin', 'bun');
  const result = exercise(project, [...muslCommand(target.arch, cxxLibrary(target.arch, bun)), bun], { frames: 12, reference });
  expect(result.arch === target.arch && result.loaded === path.join('prebuilds', `linux-${target.arch}`, 'weightnorm.musl.node'), result);
  expect(result.bun !== undefined, 'another runtime ran');
  return `Bun ${result.bun}${emulated(target)}`;
}
