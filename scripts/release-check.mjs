// `npm run release:check [-- step…]`: everything about a release that one Linux x64 machine can show, and a table of what was built and run.
// Steps: binaries, package, arm64, musl, and repository (the checks that development has). Binaries that are newer than their sources are kept.
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { checkPackage } from './check-package.mjs';
import { ensureBuilt, newest } from './ensure-built.mjs';
import { Checks, expect, present } from './package/checks.mjs';
import { exercise } from './package/environments.mjs';
import { buildable, prebuilt, targets } from './prebuild/targets.mjs';
import { systemRoot } from './release/arm64.mjs';
import { muslLoader } from './release/musl-system.mjs';
import { root } from './run.mjs';

const steps = ['binaries', 'package', 'arm64', 'musl', 'repository'];
const wanted = process.argv.slice(2);
if (wanted.some((step) => !steps.includes(step))) {
  console.error(`release:check: unknown step ${wanted.find((step) => !steps.includes(step))}; steps are ${steps.join(', ')}`);
  process.exit(2);
}
const chosen = (step) => wanted.length === 0 || wanted.includes(step);

// A program and the Debian package that brings it.
const needed = { python3: 'python3', make: 'make', 'g++': 'g++', readelf: 'binutils', 'qemu-aarch64-static': 'qemu-user-static', 'dpkg-deb': 'dpkg' };
const repository = {
  cmake: 'cmake',
  'clang++-19': 'clang-19',
  'ld.lld-19': 'lld-19',
  'llvm-nm-19': 'llvm-19',
  'clang-format-19': 'clang-format-19',
  chromium: 'chromium',
  'redis-server': 'redis-server',
};
const missing = Object.entries({ ...needed, ...(chosen('repository') ? repository : {}) }).filter(([program]) => !present(program));
const packages = missing.map(([, name]) => name);
if (!existsSync(path.join(systemRoot, 'lib'))) packages.push('g++-aarch64-linux-gnu');
if (!existsSync(muslLoader)) packages.push('musl');
if (process.platform !== 'linux' || process.arch !== 'x64' || packages.length > 0) {
  const what = packages.length > 0 ? `apt-get install --no-install-recommends ${packages.join(' ')}` : 'a machine with Linux on x64';
  console.error(`release:check needs ${what}`);
  process.exit(2);
}

await ensureBuilt();
const checks = new Checks();
const { audit } = await import('./prebuild/audit.mjs');
const { buildTarget } = await import('./prebuild/build.mjs');
const sources = Math.max(...['native', 'binding.gyp', 'sources.json', 'scripts/prebuild'].map(newest));
const rows = new Map(targets.map(({ name }) => [name, { built: 'no', executed: [], failed: false }]));
const attempt = async (target, name, body) => {
  if (!(await checks.check(`${target}: ${name}`, body))) rows.get(target).failed = true;
};

for (const target of buildable()) {
  const row = rows.get(target.name);
  const file = prebuilt(target);
  if (chosen('binaries') && !(existsSync(file) && statSync(file).mtimeMs >= sources)) await attempt(target.name, 'builds', () => buildTarget(target));
  await attempt(target.name, 'is there', () => expect(existsSync(file), `npm run prebuilds -- ${target.name} makes it`));
  if (row.failed) continue;
  row.built = target.zig[1];
  row.bytes = statSync(file).size;
  for (const { rule, ok, detail, note } of audit(file, target)) {
    if (note) row.built += `, asks for ${note}`;
    await attempt(target.name, rule, () => expect(ok, detail));
  }
}

const binaries = buildable()
  .map((target) => prebuilt(target))
  .filter(existsSync)
  .map((file) => [file, path.relative(path.join(root, 'prebuilds'), file)]);
const here = rows.get('linux-x64-glibc');
if (chosen('package') || chosen('arm64') || chosen('musl')) {
  const before = checks.failed;
  let packageFailed = false;
  await checkPackage(checks, binaries, chosen('package') ? undefined : [], async ({ project }) => {
    packageFailed = checks.failed > before;
    const reference = exercise(project, [process.execPath], { frames: 12 });
    /** Runs something on a target and notes what it says. */
    const execute = (target, name, body) => attempt(target, name, () => void rows.get(target).executed.push(body()));
    if (chosen('arm64')) {
      const { runUnderQemu } = await import('./release/arm64.mjs');
      for (const release of ['node20', 'node22', 'node24'])
        await execute('linux-arm64-glibc', `${release} under qemu`, () => `Node ${runUnderQemu(project, release, reference)} under qemu`);
    }
    if (chosen('musl')) {
      const { runInBun, runNatively } = await import('./release/musl.mjs');
      for (const target of buildable().filter(({ libc }) => libc === 'musl')) {
        await execute(target.name, 'the package in Bun for musl', () => runInBun(project, target, reference));
        await execute(target.name, 'native tests under musl', () => runNatively(target));
      }
    }
  });
  if (chosen('package')) {
    here.executed.push('Node 20, 22, 24, as an installed package');
    if (packageFailed) here.failed = true;
  }
}

/** The checks that development has, each a command with an exit code. */
const commands = ['test', 'lint', 'test:electron', 'test:server', 'check:fidelity', 'check:darwin', 'check:arm64'];
if (chosen('repository')) {
  for (const command of commands) {
    const passed = await checks.check(`npm run ${command}`, () => {
      const { status } = spawnSync('npm', ['run', command], { cwd: root, stdio: 'inherit', env: { ...process.env, WEIGHTNORM_REQUIRE_METAL: '1' } });
      expect(status === 0, `it gave ${status}`);
    });
    if (command !== 'check:darwin') continue;
    for (const name of ['darwin-arm64', 'darwin-x64']) Object.assign(rows.get(name), { built: 'for checking, without an SDK', failed: !passed });
  }
}

const table = [['platform', 'built', 'executed', 'size', 'result']];
for (const [name, { built, executed, bytes, failed }] of rows) {
  const darwin = name.startsWith('darwin');
  const how = darwin ? 'no: built and run on Macs by the release workflow' : executed.join('; ') || 'not asked for';
  const checked = darwin ? built !== 'no' : true;
  table.push([name, built, how, bytes ? `${(bytes / 1e6).toFixed(2)} MB` : '-', failed ? 'FAILED' : checked ? 'ok' : 'not checked']);
}
const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
console.log(
  `\n${table
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')}\n`,
);
checks.finish('release');
