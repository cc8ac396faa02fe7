// `npm run fuzz [target …] [-- --seconds N]`: libFuzzer on what the native side makes of numbers, shapes and bytes. Without
// --seconds every target runs its kept corpus and a fixed number of inputs from a fixed seed; with it, N seconds a target from
// a fresh seed, and new inputs worth keeping are merged into test/fuzz/corpus.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { root } from './run.mjs';
import { build } from './sanitizers.mjs';

/** Inputs of a run without --seconds: about ten seconds each on one core. */
const targets = {
  prepare: 120_000,
  plans: 30_000,
  operations: 12_000,
  convert: 150_000,
  environment: 200_000,
  metal: 1500,
};

const words = process.argv.slice(2);
const at = words.indexOf('--seconds');
const seconds = at < 0 ? 0 : Number(words[at + 1]);
const names = words.filter((_word, i) => at < 0 || (i !== at && i !== at + 1));
const unknown = names.filter((name) => !(name in targets));
if (unknown.length > 0 || (at >= 0 && !(seconds > 0))) {
  console.error(`fuzz: takes any of ${Object.keys(targets).join(', ')} and --seconds N`);
  process.exit(2);
}

// One file a target, an input a line in base64: a corpus of small inputs that a diff can show.
const corpusFile = (name) => path.join(root, 'test', 'fuzz', 'corpus', `${name}.txt`);
function unpack(name, folder) {
  if (!existsSync(corpusFile(name))) return;
  const lines = readFileSync(corpusFile(name), 'utf8').split('\n').filter(Boolean);
  lines.forEach((line, i) => writeFileSync(path.join(folder, String(i)), Buffer.from(line, 'base64')));
}
function pack(name, folder) {
  const lines = readdirSync(folder).map((file) => readFileSync(path.join(folder, file)).toString('base64'));
  writeFileSync(
    corpusFile(name),
    `${lines
      .filter(Boolean)
      .sort((a, b) => a.length - b.length || (a < b ? -1 : 1))
      .join('\n')}\n`,
  );
}

const wanted = names.length > 0 ? names : Object.keys(targets);
// One build for all, the Metal backend among them: the same as check:sanitize has.
const directory = build(
  'asan',
  'both',
  wanted.map((name) => `fuzz_${name}`),
);

const work = mkdtempSync(path.join(os.tmpdir(), 'weightnorm-fuzz-'));
let [passed, failed] = [0, 0];
for (const name of wanted) {
  const program = path.join(root, directory, `fuzz_${name}`);
  const folder = path.join(work, name);
  mkdirSync(folder);
  unpack(name, folder);
  const inputs = readdirSync(folder).length;
  const length = seconds > 0 ? [`-max_total_time=${seconds}`] : [`-runs=${targets[name]}`, '-seed=1'];
  const artifact = path.join(root, 'build', `fuzz-${name}-`);
  const args = [...length, '-timeout=20', '-rss_limit_mb=3072', '-max_len=512', '-print_final_stats=1', `-artifact_prefix=${artifact}`, folder];
  const started = Date.now();
  const result = spawnSync(program, args, {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    env: { ...process.env, ASAN_OPTIONS: 'detect_leaks=1:allocator_may_return_null=1', UBSAN_OPTIONS: 'print_stacktrace=1', SOFTMETAL_ABORT_ON_VIOLATION: '1' },
  });
  const log = result.stderr ?? '';
  const units = Number(/number_of_executed_units: (\d+)/.exec(log)?.[1] ?? 0);
  const ok = result.status === 0 && units > inputs;
  ok ? passed++ : failed++;
  console.log(`${ok ? 'ok' : 'FAILED'}  ${name}: ${inputs} kept inputs, ${units} runs, ${((Date.now() - started) / 1000).toFixed(1)} s`);
  if (!ok)
    console.log(
      `${log.slice(-5000)}\nThe input is ${artifact}…; run ${program} with it, and add it to ${corpusFile(name)} in base64 once the fault is mended.`,
    );
  if (ok && seconds > 0) {
    const merged = path.join(work, `${name}-merged`);
    mkdirSync(merged);
    spawnSync(program, ['-merge=1', '-max_len=512', merged, folder], { stdio: 'ignore', env: { ...process.env, ASAN_OPTIONS: 'detect_leaks=0' } });
    if (readdirSync(merged).length > 0) pack(name, merged);
  }
}
rmSync(work, { recursive: true });
console.log(`fuzz: ${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
