// `npm run check:darwin`: compiles and links the add-on for macOS, arm64 and x86_64, through binding.gyp and CMakeLists.txt, with no Mac
// and no SDK, and audits what came out. For checking only: what is published is built on a Mac. Everything lies in build/darwin.
//
// On Debian 12:  apt-get install --no-install-recommends clang-19 lld-19 llvm-19 cmake make python3
// (a later LLVM release that apt has is taken instead); the npm registry is asked once, for a package of headers (test/darwin/sdk.mjs).
//
// Usage: node scripts/check-darwin.mjs [arm64|x86_64] [gyp|cmake]    JOBS=<n> compiles in parallel
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { audit } from '../test/darwin/audit.mjs';
import { buildWithCMake } from '../test/darwin/cmake.mjs';
import { buildWithGyp, wrongFlags } from '../test/darwin/gyp.mjs';
import { buildSamples } from '../test/darwin/samples.mjs';
import { makeSdk } from '../test/darwin/sdk.mjs';
import { llvm } from '../test/darwin/toolchain.mjs';
import { root } from './run.mjs';

const filters = process.argv.slice(2);
const chosen = (names) => (names.some((name) => filters.includes(name)) ? names.filter((name) => filters.includes(name)) : names);
const builders = { gyp: ['binding.gyp', buildWithGyp], cmake: ['CMakeLists.txt', buildWithCMake] };

let passed = 0;
let failed = 0;
function report(what, ok, detail) {
  if (ok) passed++;
  else failed++;
  console.log(`${ok ? 'ok    ' : 'FAILED'} ${what}${detail ? `: ${detail}` : ''}`);
}

const tools = llvm();
const build = path.join(root, 'build', 'darwin');
mkdirSync(build, { recursive: true });
const sdk = makeSdk(root, build);

for (const { name, rules, file } of buildSamples({ sdk, tools, folder: path.join(build, 'samples') })) {
  const broken = audit(file, 'arm64')
    .filter(({ ok }) => !ok)
    .map(({ rule }) => rule);
  report(
    rules.length > 0 ? `the audit notices the sample '${name}'` : `the audit accepts the sample '${name}'`,
    String(broken) === String(rules),
    broken.join(', '),
  );
}

for (const arch of chosen(['arm64', 'x86_64'])) {
  // What @available calls comes from clang's own library on a Mac.
  const runtime = path.join(build, `availability-${arch}.o`);
  execFileSync(tools.cc, ['-target', `${arch}-apple-macos13.0`, '-O2', '-c', path.join(root, 'test', 'apple', 'lib', 'availability.c'), '-o', runtime]);
  for (const kind of chosen(['gyp', 'cmake'])) {
    const [file, buildWith] = builders[kind];
    const what = `${file} ${arch}`;
    const output = path.join(build, `${kind}-${arch}`);
    let bundle;
    try {
      bundle = buildWith({ root, sdk, tools, arch, runtime, output, jobs: process.env.JOBS ?? 1, quiet: 'ignore' });
    } catch (error) {
      report(`${what}: compiles and links`, false, error.message.split('\n')[0]);
      continue;
    }
    report(`${what}: compiles and links`, true);
    if (kind === 'gyp') {
      const wrong = wrongFlags(output);
      report(`${what}: flags`, wrong.length === 0, wrong.join(', '));
    }
    for (const { rule, ok, detail } of audit(bundle, arch)) report(`${what}: ${rule}`, ok, detail);
  }
}

console.log(`darwin: ${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
