// `npm run check:sanitize [asan|tsan|libcxx …] [cpu|both …] [--all]`: native tests and specs under AddressSanitizer with
// UndefinedBehaviorSanitizer, and under ThreadSanitizer. `both` is the add-on with the CPU and the Metal backend, the latter on
// the software Metal; `cpu` the one that Linux users have. `libcxx` are native tests of the CPU backend with another standard library. Without --all, only `both`, and what a few minutes allow.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { ensureBuilt } from './ensure-built.mjs';
import { root, tool } from './run.mjs';
import { build, buildDirectory, reports, reportsFolder, sanitizers, watched } from './sanitizers.mjs';

const words = process.argv.slice(2);
const everything = words.includes('--all');
const unknown = words.filter((word) => !['--all', 'cpu', 'both', ...Object.keys(sanitizers)].includes(word));
if (unknown.length > 0) {
  console.error(`check:sanitize: ${unknown.join(', ')}? It takes asan, tsan, libcxx, cpu, both and --all`);
  process.exit(2);
}
const named = (names) => names.filter((name) => words.includes(name));
const orElse = (chosen, fallback) => (chosen.length > 0 ? chosen : fallback);

/** Specs that reach most of the add-on in little time, on both devices; ThreadSanitizer looks for threads that meet. */
const few = {
  asan: [
    'test/core/(loader|tensor)',
    'test/functional/operations',
    'test/norm/(errors|golden)',
    'test/nn/scale-cache',
    'test/streaming/(layers|program|vocoder)',
    'test/metal/streams',
  ],
  tsan: ['test/core/tensor', 'test/nn/scale-cache', 'test/streaming/(layers|vocoder)', 'test/random', 'test/metal/streams'],
};
/** And of the spec whose processes start workers, those that do. */
const workers = { asan: [], tsan: ['test/core/environment', '--testNamePattern', 'worker'] };
/** Where threads meet, many times over; and host code of the Metal backend, whose kernels the software Metal checks itself. */
const nativeFew = { asan: ['^simd_test$', '^native_metal$'], tsan: ['^native_threads$', '^native_metal$'] };
const repeated = /simd_test|native_threads/;

let [passed, failed] = [0, 0];
function check(what, ok, details = '') {
  ok ? passed++ : failed++;
  console.log(`${ok ? 'ok' : 'FAILED'}  ${what}`);
  if (!ok && details) console.log(details.slice(0, 6000));
}
const output = (result) => `${result.stdout ?? ''}${result.stderr ?? ''}${result.error ?? ''}`.slice(-4000);

/** Runs a program under a sanitizer; ok when it ends well and nothing was reported. */
function clean(what, name, folder, command, args, env = {}) {
  const result = spawnSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 28, env: { ...watched(name, folder), ...env } });
  const found = reports(folder);
  const counts = [...new Set(output(result).match(/[a-z-]+: \d+ passed, \d+ failed$/gm))];
  check(`${what}${counts.length > 0 ? ` (${counts.join('; ')})` : ''}`, result.status === 0 && found.length === 0, `${found[0] ?? ''}\n${output(result)}`);
}

/** The same route as everything else must catch faults made on purpose. */
function faults(name, device) {
  const expected = {
    asan: {
      overflow: /heap-buffer-overflow/,
      freed: /heap-use-after-free/,
      recycled: /use-after-poison/,
      slack: /use-after-poison/,
      undefined: /signed integer overflow/,
    },
    tsan: { race: /data race/ },
  }[name];
  const addon = path.join(root, buildDirectory(name, device), 'sanitizer_faults.node');
  const commit = (fault, options) => {
    const folder = reportsFolder(`${name}-fault-${fault}`);
    const result = spawnSync(process.execPath, ['-e', `require(${JSON.stringify(addon)}).commit(${JSON.stringify(fault)})`], {
      encoding: 'utf8',
      env: watched(name, folder, options),
    });
    return { result, found: reports(folder).join('\n') };
  };
  for (const [fault, pattern] of Object.entries(expected)) {
    const { result, found } = commit(fault);
    check(`${name}: a fault made on purpose is caught: ${fault}`, result.status !== 0 && pattern.test(found), output(result) + found);
  }
  if (name === 'asan')
    check('asan: a leak made on purpose is seen', /leak of \d+ byte\(s\) in [1-8] object\(s\)[\s\S]*leak\(\)/.test(commit('leak', { leaks: true }).found));
  check(`${name}: no fault, no report`, commit('none').result.status === 0 && commit('none').found === '');
}

function leaks(device, addon) {
  const folder = reportsFolder(`leaks-${device}`);
  const result = spawnSync(process.execPath, ['test/sanitize/leaks.cjs'], {
    cwd: root,
    encoding: 'utf8',
    env: { ...watched('asan', folder, { leaks: true }), WEIGHTNORM_ADDON: addon },
  });
  const found = reports(folder);
  check(
    `asan, ${device}: nothing of the add-on is lost at the end of a process`,
    // 66: node itself keeps memory, the wrappers of externals for one; only what the add-on allocated counts.
    [0, 66].includes(result.status) && /given back/.test(result.stdout) && found.length === 0,
    `${found[0] ?? ''}\n${output(result)}`,
  );
}

await ensureBuilt({ native: false });
for (const name of orElse(named(Object.keys(sanitizers)), Object.keys(sanitizers))) {
  const { programs } = sanitizers[name];
  if (programs) {
    const started = Date.now();
    const directory = build(name, 'cpu', programs);
    for (const program of programs)
      clean(`${name}: ${program}`, 'asan', reportsFolder(`${name}-${program}`), path.join(directory, program), [], { LD_PRELOAD: '' });
    console.log(`${name}: ${((Date.now() - started) / 1000).toFixed(0)} s`);
    continue;
  }
  for (const device of orElse(named(['both', 'cpu']), everything ? ['cpu', 'both'] : ['both'])) {
    const started = Date.now();
    const metal = device === 'both';
    const targets = ['weightnorm', 'sanitizer_faults', name === 'asan' ? 'simd_test' : 'native_ops', ...(metal ? ['softmetal_control', 'native_metal'] : [])];
    const directory = build(name, device, everything ? [] : targets);
    console.log(`built ${directory} in ${((Date.now() - started) / 1000).toFixed(0)} s`);
    const addon = path.join(root, directory, metal ? 'softmetal/weightnorm.node' : 'weightnorm.node');
    if (!existsSync(addon)) throw new Error(`${addon} was not built`);
    faults(name, device);
    for (const tests of everything ? ['.'] : nativeFew[name].filter((test) => metal || !/metal/.test(test))) {
      const often = !everything && repeated.test(tests) ? ['--repeat', 'until-fail:20'] : [];
      // Native programs bring the runtime themselves.
      clean(
        `${name}, ${device}: native tests`,
        name,
        reportsFolder(`${name}-${device}-native`),
        'ctest',
        ['--test-dir', directory, '--verbose', '-R', tests, ...often],
        { LD_PRELOAD: '' },
      );
    }
    if (name === 'asan') leaks(device, addon);
    for (const specs of everything ? [[]] : [few[name], workers[name]].filter(({ length }) => length > 0)) {
      clean(
        `${name}, ${device}: specs`,
        name,
        reportsFolder(`${name}-${device}-specs`),
        process.execPath,
        [tool('jest/bin/jest.js'), '--testTimeout=600000', ...specs],
        {
          WEIGHTNORM_ADDON: addon,
          WEIGHTNORM_RANDOM_RUNS: everything ? '100' : '15',
        },
      );
    }
    console.log(`${name}, ${device}: ${((Date.now() - started) / 1000).toFixed(0)} s`);
  }
}
console.log(`sanitize: ${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
