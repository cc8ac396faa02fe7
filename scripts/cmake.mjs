import { run } from './run.mjs';

const quiet = { stdio: ['ignore', 'ignore', 'inherit'] };

/**
 * Configures a build in `directory`. The compiler goes by the environment, which counts the first time only: as an option, another path
 * to it (a cache's wrapper, say) would make cmake forget all other options.
 */
export function configure(directory, options, compiler) {
  const env = compiler ? { ...process.env, CXX: compiler } : process.env;
  run('cmake', ['-S', '.', '-B', directory, ...options], { ...quiet, env });
}

/** Builds these targets, or all. */
export function compile(directory, targets = []) {
  run('cmake', ['--build', directory, '--parallel', process.env.JOBS ?? '2', ...targets.flatMap((target) => ['--target', target])], quiet);
}
