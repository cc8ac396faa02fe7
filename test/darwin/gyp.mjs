// Builds binding.gyp's Mac branch on Linux: gyp's makefile generator for macOS, with this machine's clang in Xcode's place.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { makeNodeDirectory } from '../../scripts/node-headers.mjs';

const require = createRequire(import.meta.url);
const gypArch = { arm64: 'arm64', x86_64: 'x64' };

// What the common.gypi of Node's own headers sets for a Mac, which binding.gyp has to set right again.
const nodeSettings = {
  GCC_ENABLE_CPP_EXCEPTIONS: 'NO',
  GCC_ENABLE_CPP_RTTI: 'NO',
  GCC_THREADSAFE_STATICS: 'NO',
  GCC_ENABLE_PASCAL_STRINGS: 'NO',
  MACOSX_DEPLOYMENT_TARGET: '10.15',
  CLANG_CXX_LANGUAGE_STANDARD: 'gnu++17',
};

/** The configuration node-gyp writes on a Mac of this architecture. */
function configuration(arch) {
  const variables = { target_arch: gypArch[arch], host_arch: gypArch[arch], clang: 1, standalone_static_library: 1 };
  return JSON.stringify({ variables, target_defaults: { default_configuration: 'Release', xcode_settings: nodeSettings } });
}

/** Returns the path of the bundle. */
export function buildWithGyp({ root, sdk, tools, arch, runtime, output, jobs, quiet }) {
  const nodeGyp = path.dirname(require.resolve('node-gyp/package.json'));
  const node = makeNodeDirectory(root);
  rmSync(path.join(output, 'Makefile'), { force: true });
  mkdirSync(output, { recursive: true });
  const config = path.join(output, 'config.gypi');
  writeFileSync(config, configuration(arch));
  const env = { ...process.env, DARWIN_SDK: sdk, PATH: `${path.join(root, 'test', 'darwin', 'xcode')}:${process.env.PATH}` };
  const define = (variables) => Object.entries(variables).map(([name, value]) => `-D${name}=${value}`);
  const options = { cwd: root, env, stdio: ['ignore', quiet, 'inherit'] };
  execFileSync(
    'python3',
    [
      path.join(nodeGyp, 'gyp', 'gyp_main.py'),
      'binding.gyp',
      ...['-f', 'make-mac', '-I', config, '-I', path.join(nodeGyp, 'addon.gypi'), '-I', path.join(node, 'include', 'node', 'common.gypi')],
      ...define({ library: 'shared_library', visibility: 'default', node_root_dir: node, node_gyp_dir: nodeGyp, node_lib_file: 'unused' }),
      ...define({ module_root_dir: root, node_engine: 'v8', OS: 'mac' }),
      ...['--depth=.', '--no-parallel', '--generator-output', path.relative(root, output), '-Goutput_dir=.'],
    ],
    options,
  );
  const target = `-Wno-unused-command-line-argument -target ${arch}-apple-macos13.0 -isysroot ${sdk}`;
  const cc = `${tools.cc} ${target}`;
  const cxx = `${tools.cxx} ${target} -stdlib++-isystem ${sdk}/usr/include/c++/v1`;
  const commands = { CC: cc, CXX: cxx, LINK: `${cxx} -fuse-ld=lld ${runtime}` };
  const assignments = Object.entries(commands).flatMap(([name, command]) => [`${name}=${command}`, `${name}.target=${command}`]);
  execFileSync('make', ['-C', output, 'BUILDTYPE=Release', `-j${jobs}`, ...assignments], options);
  return path.join(output, 'Release', 'weightnorm.node');
}

const wanted = ['-std=c++20', '-O3', '-fobjc-arc', '-fvisibility=hidden', '-ffp-contract=off', '-mmacosx-version-min=13.0'];
const unwanted = ['-fno-exceptions', '-fno-rtti', '-fno-threadsafe-statics', '-ffast-math', '-fno-objc-arc'];

/** What is wrong with the compiler flags of Objective-C++ files in a makefile that buildWithGyp left. */
export function wrongFlags(output) {
  const makefile = readFileSync(path.join(output, 'weightnorm.target.mk'), 'utf8');
  const flags = [...makefile.matchAll(/^CFLAGS(?:_CC|_OBJCC)?_Release := ((?:.*\\\n)*.*)/gm)].flatMap(([, text]) => text.split(/[\s\\]+/));
  const missing = wanted.filter((flag) => !flags.includes(flag)).map((flag) => `without ${flag}`);
  return [...missing, ...unwanted.filter((flag) => flags.includes(flag)).map((flag) => `with ${flag}`)];
}
