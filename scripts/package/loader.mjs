// What people read when the add-on cannot be loaded; each case is a damaged or misplaced installation, tried for real.
import { execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { capture, complaint, expect } from './checks.mjs';
import { copyProject, installed, printed } from './pack.mjs';

const here = `${process.platform}-${process.arch}`;

/** The binary that this platform loads from an installed package. */
const binary = (project) => {
  const folder = installed(project, 'prebuilds', here);
  return path.join(
    folder,
    readdirSync(folder).find((file) => !file.includes('musl')),
  );
};

/** A library that needs what this system does not have: a version of its C library, or another library. */
function library(scratch, output, soname, version) {
  const folder = path.join(scratch, 'stub');
  mkdirSync(folder, { recursive: true });
  const file = (name, text) => writeFileSync(path.join(folder, name), text);
  file('stub.c', 'void weightnorm_absent(void) {}');
  file('user.c', 'extern void weightnorm_absent(void);\nvoid *napi_register_module_v1(void) { weightnorm_absent(); return 0; }');
  file('versions', `${version ?? 'ABSENT_1'} { global: weightnorm_absent; };`);
  const link = (...args) => execFileSync('gcc', ['-shared', '-fPIC', '-nostdlib', ...args], { cwd: folder });
  link('stub.c', '-o', 'stub.so', `-Wl,-soname,${soname}`, '-Wl,--version-script=versions');
  link('user.c', '-o', output, 'stub.so');
}

export async function checkLoader({ checks, scratch, project }) {
  let count = 0;
  /** Spoils a copy of the project and expects each of the patterns in what its program says. */
  const failing = (name, spoil, ...patterns) =>
    checks.check(`loader: ${name}`, () => {
      const copy = copyProject(project, `loader-${++count}`);
      const env = spoil(copy) ?? {};
      const said = complaint(process.execPath, ['use.cjs'], { cwd: copy, env: { ...process.env, ...env } });
      for (const pattern of [/WeightNormError/, /ERR_ADDON/, ...patterns]) expect(pattern.test(said), `${pattern} is not in: ${said}`);
      rmSync(copy, { recursive: true });
    });

  await failing(
    'no binaries at all',
    (copy) => rmSync(installed(copy, 'prebuilds'), { recursive: true }),
    /no install script makes or fetches them, so none was blocked/,
    /npx weightnorm build/,
  );
  await failing(
    'none for this platform',
    (copy) => {
      rmSync(installed(copy, 'prebuilds'), { recursive: true });
      cpSync(installed(project, 'prebuilds', here), installed(copy, 'prebuilds', 'freebsd-arm64'), { recursive: true });
    },
    new RegExp(`no binary for ${here}`),
    /only for freebsd-arm64/,
    /npx weightnorm build/,
  );
  await failing(
    'for another processor',
    (copy) => {
      const bytes = readFileSync(binary(copy));
      bytes.writeUInt16LE(process.arch === 'x64' ? 0xb7 : 0x3e, 18); // e_machine
      writeFileSync(binary(copy), bytes);
    },
    new RegExp(`is for linux-${process.arch === 'x64' ? 'arm64' : 'x64'}, and this Node is for ${here}`),
  );
  await failing(
    'for a Mac, copied with node_modules',
    (copy) => {
      const bytes = readFileSync(binary(copy));
      bytes.writeUInt32BE(0xcffaedfe, 0);
      bytes.writeUInt32LE(0x0100000c, 4);
      writeFileSync(binary(copy), bytes);
    },
    new RegExp(`is for darwin-arm64, and this Node is for ${here}`),
    /install the package with this Node on this machine/,
  );
  await failing(
    'a newer C library',
    (copy) => library(scratch, binary(copy), 'libc.so.6', 'GLIBC_2.99'),
    /needs glibc 2\.99, and this system has glibc \d/,
    /npx weightnorm build/,
  );
  await failing('the other C library', (copy) => library(scratch, binary(copy), 'libc.musl-x86_64.so.1'), /for systems with musl, and this one has glibc/);
  await failing('a missing library', (copy) => library(scratch, binary(copy), 'libstdc++.so.99'), /needs the library libstdc\+\+\.so\.99/);
  await failing('a truncated file', (copy) => writeFileSync(binary(copy), 'version https://git-lfs'), /is not a library; install the package again/);
  await failing(
    'WEIGHTNORM_ADDON names nothing',
    () => ({ WEIGHTNORM_ADDON: '/nowhere/weightnorm.node' }),
    /WEIGHTNORM_ADDON is set to "\/nowhere\/weightnorm.node"; there is no such file/,
  );

  const archive = (copy) => path.join(copy, 'resources', 'app.asar');
  const archived = (copy) => {
    mkdirSync(archive(copy), { recursive: true });
    renameSync(path.join(copy, 'node_modules'), path.join(archive(copy), 'node_modules'));
    copyFileSync(path.join(copy, 'use.cjs'), path.join(archive(copy), 'use.cjs'));
    writeFileSync(path.join(copy, 'use.cjs'), "require('./resources/app.asar/use.cjs');");
    // A library inside an archive is bytes that a system cannot map.
    writeFileSync(binary(archive(copy)), 'archived');
  };
  await failing('inside an Electron archive', archived, /inside an Electron archive/, /asarUnpack: \["\*\*\/node_modules\/weightnorm\/\*\*"\]/);
  await checks.check('loader: what was unpacked beside an Electron archive is taken', () => {
    const copy = copyProject(project, 'loader-unpacked');
    archived(copy);
    const unpacked = `${archive(copy)}.unpacked`;
    mkdirSync(unpacked);
    cpSync(path.join(project, 'node_modules'), path.join(unpacked, 'node_modules'), { recursive: true, verbatimSymlinks: true });
    const out = capture(process.execPath, ['use.cjs'], { cwd: copy });
    expect(out === printed, out);
  });
}
