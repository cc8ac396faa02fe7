// `npm run prebuilds [-- target…]`: puts stripped and audited binaries under prebuilds/, named as node-gyp-build looks for them.
// (A script called prebuild would run before every `npm run build`.) On Linux x64 it makes all of Linux, with a cross-compiler from npm; on a Mac, that Mac's (or the one of the other processor, if named).
import { statSync } from 'node:fs';
import path from 'node:path';
import { ensureBuilt } from './ensure-built.mjs';
import { buildable, targets } from './prebuild/targets.mjs';
import { root } from './run.mjs';

const names = process.argv.slice(2);
const unknown = names.filter((name) => !targets.some((target) => target.name === name));
const chosen = names.length > 0 ? targets.filter(({ name }) => names.includes(name)) : buildable();
if (unknown.length > 0 || chosen.length === 0) {
  const what = unknown.length > 0 ? `unknown target ${unknown.join(', ')}` : `nothing can be prebuilt on ${process.platform}-${process.arch}`;
  console.error(`prebuild: ${what}; targets are ${targets.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}

await ensureBuilt({ native: false });
const { buildTarget } = await import('./prebuild/build.mjs');
const { audit } = await import('./prebuild/audit.mjs');
let failed = 0;
for (const target of chosen) {
  const start = performance.now();
  const file = await buildTarget(target);
  const broken = audit(file, target).filter(({ ok }) => !ok);
  failed += broken.length;
  const megabytes = (statSync(file).size / 1e6).toFixed(2);
  console.log(`${path.relative(root, file).padEnd(48)} ${megabytes} MB  ${((performance.now() - start) / 1000).toFixed(0)} s`);
  for (const { rule, detail } of broken) console.error(`FAILED ${target.name}: ${rule}: ${detail}`);
}
process.exitCode = failed > 0 ? 1 : 0;
