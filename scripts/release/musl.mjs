// Runs binaries for musl on a Debian that has glibc: musl's dynamic loader comes from Debian's package, for either processor,
// without installing it. No Node for musl can be had from npm, so a small program takes its place; the release workflow runs
// the package in Alpine.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { capture, expect } from '../package/checks.mjs';
import { prebuilt } from '../prebuild/targets.mjs';
import { writeCompiler } from '../prebuild/zig.mjs';
import { root } from '../run.mjs';

const machine = { x64: ['amd64', 'x86_64'], arm64: ['arm64', 'aarch64'] };

/** musl's dynamic loader for a processor, from apt, below build/. */
function dynamicLoader(arch) {
  const [debian, cpu] = machine[arch];
  const folder = path.join(root, 'build', 'tools', `musl-${arch}`);
  const loader = path.join(folder, 'lib', `ld-musl-${cpu}.so.1`);
  const library = path.join(folder, 'lib', `${cpu}-linux-musl`, 'libc.so');
  if (existsSync(library)) return library;
  rmSync(folder, { recursive: true, force: true });
  for (const part of ['lists/partial', 'cache/archives/partial']) mkdirSync(path.join(folder, 'apt', part), { recursive: true });
  const settings = { 'Dir::State::Lists': 'apt/lists', 'Dir::State::status': '/dev/null', 'Dir::Cache': 'apt/cache', 'APT::Sandbox::User': 'root' };
  for (const [name, value] of Object.entries(settings)) if (value.startsWith('apt/')) settings[name] = path.join(folder, value);
  const apt = (...args) => {
    const options = Object.entries({ ...settings, 'APT::Architecture': debian, 'APT::Architectures::': debian }).flatMap(([name, value]) => [
      '-o',
      `${name}=${value}`,
    ]);
    execFileSync('apt-get', ['-qq', ...options, ...args], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
  };
  apt('update');
  apt('download', 'musl');
  execFileSync('dpkg-deb', [
    '-x',
    path.join(
      folder,
      readdirSync(folder).find((name) => name.endsWith('.deb')),
    ),
    folder,
  ]);
  rmSync(path.join(folder, 'apt'), { recursive: true });
  expect(existsSync(library), `${loader} is not in Debian's package`);
  return library;
}

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
export function runUnderMusl(target) {
  const loader = dynamicLoader(target.arch);
  const command = target.arch === 'x64' ? [loader] : ['qemu-aarch64-static', loader];
  const run = (...args) => capture(command[0], [...command.slice(1), ...args], { timeout: 500_000 });
  const folder = path.join(root, 'build', 'prebuild', target.name);
  const compiler = writeCompiler(folder, target);
  const compile = (args) => execFileSync(compiler, ['-dynamic', ...args], { cwd: root, stdio: ['ignore', 'ignore', 'pipe'], maxBuffer: 1 << 28 });

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
  const tests = {
    conv: ['conv_test.cc'],
    gemm: ['gemm_test.cc'],
    ops: readdirSync(path.join(root, 'native/test/ops'))
      .filter((name) => name.endsWith('.cc'))
      .map((name) => `ops/${name}`),
  };
  let passed = 0;
  for (const [name, files] of Object.entries(tests)) {
    const program = path.join(folder, `${name}_test`);
    compile(['-std=c++20', '-O1', '-ffp-contract=off', '-Inative', ...files.map((file) => `native/test/${file}`), ...engine, '-pthread', '-o', program]);
    const [, count, failures] = /: (\d+) passed, (\d+) failed/.exec(run(program)) ?? [];
    expect(failures === '0' && Number(count) > 0, `the native test ${name} counted ${count} passed, ${failures} failed`);
    passed += Number(count);
  }
  return `loaded by musl ${target.arch === 'x64' ? '' : 'under qemu '}and ${passed} native checks on its objects; not in Node`;
}
