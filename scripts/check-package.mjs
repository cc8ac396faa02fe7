// Packs the package with this machine's own build as its binary, installs the tarball into scratch projects, and uses it as people do.
// `npm run release:check` does the same with the binaries of a release. On Debian: python3, make, g++.
import { rmSync } from 'node:fs';
import path from 'node:path';
import { ensureBuilt } from './ensure-built.mjs';
import { checkBuild } from './package/build.mjs';
import { checkBundles } from './package/bundles.mjs';
import { Checks } from './package/checks.mjs';
import { checkEnvironments } from './package/environments.mjs';
import { checkLoader } from './package/loader.mjs';
import { checkModules, checkTypes } from './package/modules.mjs';
import { makeProject, makeScratch, pack } from './package/pack.mjs';
import { root } from './run.mjs';

const groups = { modules: checkModules, types: checkTypes, bundles: checkBundles, environments: checkEnvironments, loader: checkLoader, build: checkBuild };

/** Runs the groups (all, unless named) on a tarball made with these binaries, and then `more` on the project that has it. */
export async function checkPackage(checks, binaries, names = Object.keys(groups), more = undefined) {
  const scratch = makeScratch();
  try {
    const packed = pack(scratch, binaries);
    console.log(`${path.basename(packed.tarball)}: ${packed.files.length} files, ${(packed.bytes / 1e6).toFixed(1)} MB packed`);
    const project = makeProject(scratch, 'project', packed.tarball);
    for (const name of names) {
      try {
        await groups[name]({ checks, scratch, project, packed });
      } catch (error) {
        // What a group prepares its checks with.
        await checks.check(name, () => Promise.reject(error));
      }
    }
    await more?.({ scratch, project });
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

if (import.meta.filename === process.argv[1]) {
  const names = process.argv.slice(2);
  await ensureBuilt();
  const checks = new Checks();
  const place = path.join(`${process.platform}-${process.arch}`, process.platform === 'linux' ? 'weightnorm.glibc.node' : 'weightnorm.node');
  await checkPackage(checks, [[path.join(root, 'build', 'Release', 'weightnorm.node'), place]], names.length > 0 ? names : undefined);
  checks.finish('package');
}
