// `npm run check:metal`: what can be known of the Metal backend without a Mac, beside the specs. One table at the end.
//   declarations, fidelity  scripts/check-fidelity.mjs
//   coverage                scripts/check-coverage.mjs
//   mutation                scripts/mutate.mjs, a sample that changes with the commit; all of it: npm run mutate
// --keep notes the figures in docs/verification.json, which `weightnorm doctor` compares with its build; --sample N (30).
import { execFileSync, spawn } from 'node:child_process';
import { parseArgs } from 'node:util';
import { root } from './run.mjs';
import { keep } from './verification.mjs';

process.chdir(root);
const { values: options } = parseArgs({ options: { keep: { type: 'boolean' }, sample: { type: 'string', default: '30' } } });

/** The commit's number, so that every commit draws other mutants and each draws the same ones again. */
function seedOfCommit() {
  try {
    return String(Number.parseInt(execFileSync('git', ['rev-parse', '--short=8', 'HEAD'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }), 16));
  } catch {
    return '1';
  }
}

/** Runs a check with its output shown; its suites' counts and the lines of figures. */
function check(script, args = []) {
  return new Promise((resolve) => {
    const start = Date.now();
    const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.on('data', (data) => {
      output += data;
      process.stdout.write(data);
    });
    child.on('close', (code) => {
      const suites = [...output.matchAll(/^([\w-]+): (\d+) passed, (\d+) failed$/gm)].map(([, name, passed, failed]) => ({
        name,
        passed,
        failed: Number(failed),
      }));
      const figures = Object.fromEntries([...output.matchAll(/^(\w+) {2,}(.+)$/gm)].map(([, name, text]) => [name, text]));
      resolve({ script, ok: code === 0 && suites.length > 0, suites, figures, seconds: Math.round((Date.now() - start) / 1000) });
    });
  });
}

const fidelity = await check('scripts/check-fidelity.mjs');
const coverage = await check('scripts/check-coverage.mjs');
const mutation = await check('scripts/mutate.mjs', ['--sample', options.sample, '--seed', seedOfCommit()]);

console.log('\nsuite          passed  failed  seconds');
for (const { script, ok, suites, seconds } of [fidelity, coverage, mutation]) {
  for (const [i, { name, passed, failed }] of suites.entries())
    console.log(`${name.padEnd(13)}${String(passed).padStart(8)}${String(failed).padStart(8)}${String(i === 0 ? seconds : '').padStart(9)}`);
  if (suites.length === 0 || (!ok && suites.every(({ failed }) => failed === 0))) console.log(`${script} did not end in order`);
}
for (const { figures } of [coverage, mutation]) for (const [name, text] of Object.entries(figures)) console.log(`${name.padEnd(12)} ${text}`);

const ok = [fidelity, coverage, mutation].every((result) => result.ok);
if (options.keep && ok) {
  for (const { name, passed } of fidelity.suites) keep(name, `${passed} passed`);
  keep('coverage', `${coverage.figures.lines}; branches ${coverage.figures.branches}`);
}
process.exitCode = ok ? 0 : 1;
