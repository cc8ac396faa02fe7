// Builds under sanitizers: where they lie, how node loads them, and what they reported.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { compile, configure } from './cmake.mjs';
import { root, run } from './run.mjs';

export const compiler = process.env.SOFTMETAL_CLANG ?? 'clang++-19';

/**
 * AddressSanitizer with UndefinedBehaviorSanitizer (and the fuzz targets), ThreadSanitizer, and AddressSanitizer with the standard library
 * of Macs and of our binaries for Linux: what another library forgives may be a fault in that one. Only native programs of the CPU
 * backend use it, because node brings its own.
 */
export const sanitizers = {
  asan: { kinds: 'address,undefined', directory: 'address', cmake: ['-DWEIGHTNORM_FUZZ=ON'] },
  tsan: { kinds: 'thread', directory: 'thread', cmake: [] },
  libcxx: {
    kinds: 'address',
    directory: 'libcxx',
    cmake: ['-DCMAKE_CXX_FLAGS=-stdlib=libc++ -D_LIBCPP_HARDENING_MODE=_LIBCPP_HARDENING_MODE_EXTENSIVE'],
    programs: ['conv_test', 'gemm_test', 'native_ops', 'simd_test'],
  },
};

/** One build with both devices, the Metal one simulated; and one as Linux users have it, with the CPU alone. */
export const buildDirectory = (name, device) => path.join('build', 'sanitize', `${device === 'cpu' ? 'cpu-' : ''}${sanitizers[name].directory}`);

/** Configures and builds some targets (all without any). */
export function build(name, device, targets = []) {
  const softmetal = device !== 'cpu';
  const { kinds, cmake, programs } = sanitizers[name];
  const found = programs && spawnSync(compiler, ['-stdlib=libc++', '-fsyntax-only', '-x', 'c++', '-'], { input: '#include <vector>' }).status === 0;
  if (programs && !found) throw new Error(`the standard library libc++ of ${compiler} is missing: apt-get install libc++-19-dev libc++abi-19-dev`);
  const directory = buildDirectory(name, device);
  const quiet = { stdio: ['ignore', 'ignore', 'inherit'] };
  const double = path.join(root, directory, 'softmetal');
  if (softmetal)
    run('bash', ['test/softmetal/build.sh', double], { ...quiet, env: { ...process.env, ...(name === 'tsan' ? { SOFTMETAL_SANITIZE: 'thread' } : {}) } });
  const softmetalOptions = softmetal ? ['-DWEIGHTNORM_SOFTMETAL=ON', `-DWEIGHTNORM_SOFTMETAL_DIRECTORY=${double}`] : [];
  // Optimised as little as debugging needs and no less: kernels without optimisation would take hours.
  const options = ['-DCMAKE_BUILD_TYPE=Sanitize', '-DCMAKE_CXX_FLAGS_SANITIZE=-O1', `-DWEIGHTNORM_SANITIZE=${kinds}`];
  configure(directory, [...options, ...cmake, ...softmetalOptions], compiler);
  compile(directory, targets);
  return directory;
}

/** The shared runtime that must be in a process before an add-on that needs it is loaded. */
export function runtime(name) {
  const { stdout } = spawnSync(compiler, [`-print-file-name=libclang_rt.${name}-x86_64.so`], { encoding: 'utf8' });
  const file = stdout.trim();
  if (!path.isAbsolute(file) || !existsSync(file)) throw new Error(`the ${name} runtime of ${compiler} is missing: apt-get install libclang-rt-19-dev`);
  return file;
}

/** A folder for the reports of one run, empty. */
export function reportsFolder(label) {
  const folder = path.join(root, 'build', 'sanitize', 'reports', label);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** Environment of a process that a sanitizer watches; its reports go to `folder`, from child processes too. */
export function watched(name, folder, { leaks = false } = {}) {
  const log = `log_path=${path.join(folder, 'report')}`;
  const suppressions = `suppressions=${path.join(root, 'test', 'sanitize', 'tsan.supp')}`;
  return {
    ...process.env,
    // node is not instrumented, so it cannot bring the runtime itself.
    LD_PRELOAD: runtime(name),
    ASAN_OPTIONS: `${log}:detect_leaks=${leaks ? 1 : 0}:abort_on_error=0:exitcode=66:allocator_may_return_null=1:strict_string_checks=1:detect_stack_use_after_return=0`,
    LSAN_OPTIONS: 'exitcode=0',
    UBSAN_OPTIONS: `${log}:print_stacktrace=1:halt_on_error=1:exitcode=66`,
    TSAN_OPTIONS: `${log}:${suppressions}:halt_on_error=0:exitcode=66:ignore_noninstrumented_modules=1:report_signal_unsafe=0:atexit_sleep_ms=0:second_deadlock_stack=1`,
    ASAN_SYMBOLIZER_PATH: '/usr/bin/llvm-symbolizer-19',
    TSAN_SYMBOLIZER_PATH: '/usr/bin/llvm-symbolizer-19',
  };
}

/** What was reported, whole. Leaks count where the add-on allocated: node keeps memory to its end on purpose. */
export function reports(folder) {
  const found = [];
  for (const file of readdirSync(folder)) {
    const text = readFileSync(path.join(folder, file), 'utf8');
    if (!/LeakSanitizer/.test(text)) {
      if (/ERROR|WARNING|runtime error/.test(text)) found.push(text);
      continue;
    }
    for (const block of text.split(/\n\n/)) {
      const frames = block.split('\n').filter((line) => /^\s*#\d+ /.test(line));
      // Who called the allocator: its own frames and the standard library's stand above.
      const caller = frames.find((line) => !/libclang_rt|\/c\+\+\//.test(line)) ?? '';
      if (/leak of/.test(block) && caller.includes(root + path.sep)) found.push(block);
    }
  }
  return found;
}
