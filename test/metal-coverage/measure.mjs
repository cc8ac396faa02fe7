// Which lines of native/metal every part of the native tests runs. Builds in build/coverage what it needs; results are kept
// there by a hash of everything they depend on.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { compile, configure } from '../../scripts/cmake.mjs';
import { root, run } from '../../scripts/run.mjs';
import { Counts, collect } from './lines.mjs';
import { parts } from './parts.mjs';

export const build = path.join(root, 'build', 'coverage');

/** A hash of files and of all files below folders, by name and content. */
export function hashOf(...names) {
  const hash = createHash('sha256');
  const add = (name) => {
    const file = path.join(root, name);
    if (statSync(file).isDirectory()) {
      for (const child of readdirSync(file).sort()) add(path.join(name, child));
    } else {
      hash.update(`${name}\0`).update(readFileSync(file)).update('\0');
    }
  };
  for (const name of names) add(name);
  return hash.digest('hex').slice(0, 24);
}

/** What the outcome of a native test depends on. */
export const inputs = ['native', 'test/softmetal', 'test/apple/include', 'test/metal-coverage', 'CMakeLists.txt', 'sources.json', 'scripts/embed-kernels.mjs'];

function buildPrograms() {
  run('bash', ['test/softmetal/build.sh'], { stdio: ['ignore', 'ignore', 'inherit'] });
  const options = ['-DWEIGHTNORM_SOFTMETAL=ON', '-DWEIGHTNORM_COVERAGE=ON', '-DCMAKE_BUILD_TYPE=Release'];
  configure(build, options, process.env.SOFTMETAL_CLANG ?? 'clang++-19');
  compile(build, ['native_metal', 'native_metal_kernels']);
}

/** Runs one part in a folder of its own and collects what it counted. */
async function measurePart({ name, program, part, env }) {
  const folder = path.join(build, 'counts', name.replace(/\W+/g, '-'));
  const cache = path.join(build, 'cache');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const options = { cwd: folder, env: { ...process.env, ...env, XDG_CACHE_HOME: cache, SOFTMETAL_COVERAGE: '1' }, maxBuffer: 1 << 28 };
  const run = () =>
    new Promise((resolve) => {
      execFile(path.join(build, program), [part], options, (error, stdout, stderr) => resolve(error ? `${error.message}\n${stdout}${stderr}` : ''));
    });
  // A busy machine may make one that waits for something late: it has another chance.
  const failure = (await run()) && (await run());
  if (failure) throw new Error(`${name} fails while it is measured:\n${failure}`);
  return collect(folder, path.join(cache, 'softmetal'), path.join(build, program));
}

const toJson = (counts) => [...counts.files].map(([file, lines]) => [file, [...lines].map(([line, { count, branches }]) => [line, count, branches])]);

function fromJson(json) {
  const counts = new Counts();
  for (const [file, lines] of json) for (const [line, count, branches] of lines) counts.add(file, line, count, branches);
  return counts;
}

/** Counts of every part but those with flushed subnormals, which run the same lines. Map part name → Counts. JOBS=<n> at a time. */
export async function measure() {
  const key = hashOf(...inputs);
  let compiled = false;
  const known = async (part) => {
    const store = path.join(build, 'counts', `${part.name.replace(/\W+/g, '-')}.json`);
    if (existsSync(store)) {
      const stored = JSON.parse(readFileSync(store, 'utf8'));
      if (stored.key === key) return fromJson(stored.counts);
    }
    if (!compiled) buildPrograms();
    compiled = true;
    const counts = await measurePart(part);
    writeFileSync(store, JSON.stringify({ key, counts: toJson(counts) }));
    return counts;
  };
  const measured = new Map();
  const queue = parts().filter(({ variant }) => variant !== 'flushed');
  const work = async () => {
    for (let part = queue.shift(); part; part = queue.shift()) measured.set(part.name, await known(part));
  };
  await Promise.all(Array.from({ length: Number(process.env.JOBS ?? 2) }, work));
  return measured;
}
