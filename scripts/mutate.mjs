// `npm run mutate`: mutants of the kernels and seeded faults of the host code, each of which the native tests have to notice.
//   npm run mutate                          all, and writes docs/mutation.md; results are kept in build/mutation, so it goes on where it was cut off
//   npm run mutate -- --sample 30 --seed 7  some, drawn by the seed
//   npm run mutate -- --only norm.h         those of the files whose name contains the text (or of operators: --only barrier)
//   npm run mutate -- --equivalent          runs those that are listed as equivalent too: a test that fails on one disproves its reason
//   npm run mutate -- --again               forgets the kept results
//   npm run mutate -- --table               writes docs/mutation.md from the kept results and runs nothing
//   npm run mutate -- --list                what there is
// JOBS=<n> mutants at a time. Needs what the software Metal needs (test/softmetal/README.md).
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { hashOf, inputs, measure } from '../test/metal-coverage/measure.mjs';
import { parts } from '../test/metal-coverage/parts.mjs';
import { hostMutants } from '../test/mutation/faults.mjs';
import { kernelMutants } from '../test/mutation/kernels.mjs';
import { equivalents, nameOf, Results, report } from '../test/mutation/results.mjs';
import { home, Worker } from '../test/mutation/workplace.mjs';
import { buildSoftMetal } from './build-softmetal.mjs';
import { root } from './run.mjs';
import { keep } from './verification.mjs';

process.chdir(root);
const { values: options } = parseArgs({
  options: {
    sample: { type: 'string' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    list: { type: 'boolean' },
    again: { type: 'boolean' },
    equivalent: { type: 'boolean' },
    table: { type: 'boolean' },
  },
});

/** `n` of `all` in an order that the seed decides. */
function draw(all, n, seed) {
  let state = Number(seed) >>> 0;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  for (let i = 0; i < 8; i++) random();
  const rest = [...all];
  return Array.from({ length: Math.min(n, rest.length) }, () => rest.splice(Math.floor(random() * rest.length), 1)[0]);
}

const known = equivalents();
const all = [...kernelMutants(), ...hostMutants()].map((mutant) => ({ mutant, reason: known.reasonOf(mutant) }));
const complete = !options.sample && !options.only;
let chosen = options.only ? all.filter(({ mutant }) => `${mutant.file} ${mutant.operator} ${mutant.function}`.includes(options.only)) : all;
if (options.sample)
  chosen = draw(
    chosen.filter(({ reason }) => !reason),
    Number(options.sample),
    options.seed,
  );
if (options.list) {
  for (const { mutant, reason } of chosen) console.log(`${nameOf(mutant)}${reason ? ` (equivalent: ${reason})` : ''}`);
  process.exit(0);
}

/** The table of a run of everything, or of as much as is known. */
function writeTable(outcomes) {
  const text = report(outcomes, { entries: known.entries, command: 'npm run mutate', revision: hashOf(...inputs) });
  writeFileSync(path.join(root, 'docs', 'mutation.md'), text);
}
if (options.table) {
  const kept = new Results();
  const statusOf = ({ mutant, reason }) => kept.get(mutant) ?? { status: reason ? 'survived' : 'not run', by: '' };
  writeTable(
    all.map((item) => {
      const result = statusOf(item);
      return { mutant: item.mutant, ...result, status: item.reason && result.status === 'survived' ? 'equivalent' : result.status };
    }),
  );
  process.exit(0);
}

mkdirSync(home, { recursive: true });
buildSoftMetal();
const reach = await measure();
const workers = Array.from({ length: Math.max(1, Number(process.env.JOBS ?? 2)) }, (_, i) => new Worker(i));
const runs = [];
// Flushed subnormals change numbers, not who reads and writes what: they are left to ctest.
const waiting = parts().filter(({ variant }) => variant !== 'flushed');
const measureTimes = async () => {
  for (let part = waiting.shift(); part; part = waiting.shift()) runs.push({ ...part, seconds: await workers[0].baseline(part) });
};
await Promise.all(workers.map(measureTimes));
for (const worker of workers) worker.shareKernels(workers[0]);

/** The parts that run a mutant's line, `first` and then the quickest first; for a line that is no code (a macro's), those that run its file. */
function reaching({ file, line }, first) {
  const lines = ({ name }) => reach.get(name)?.files.get(file);
  const isCode = runs.some((part) => lines(part)?.has(line));
  const order = { plain: 0, small: 1 };
  return runs
    .filter((part) => (isCode ? lines(part)?.get(line)?.count > 0 : lines(part) !== undefined))
    .sort((a, b) => (b.name === first) - (a.name === first) || order[a.variant] - order[b.variant] || a.seconds - b.seconds);
}

const results = new Results();
const outcomes = [];
const queue = [...chosen];
const startedAt = Date.now();
async function work(worker) {
  for (let item = queue.shift(); item; item = queue.shift()) {
    const { mutant, reason } = item;
    let result = options.again ? undefined : results.get(mutant);
    if (!result && reason && !options.equivalent) result = { status: 'survived', by: '', output: '' };
    if (!result) {
      const from = Date.now();
      result = { ...(await worker.kill(mutant, reaching(mutant, results.hint(mutant)))), seconds: (Date.now() - from) / 1000 };
      results.set(mutant, result);
    }
    const wrong = reason && result.status !== 'survived';
    const status = reason && !wrong ? 'equivalent' : result.status;
    outcomes.push({ mutant, ...result, status, wrong });
    const progress = `${outcomes.length}/${chosen.length} ${((Date.now() - startedAt) / 60000).toFixed(1)} min`;
    console.log(`${progress} ${status} ${nameOf(mutant)}${result.by ? ` [${result.by}, ${result.seconds.toFixed(1)} s]` : ''}`);
    if (status === 'invalid') console.log(result.output.split('\n').slice(0, 6).join('\n'));
  }
}
await Promise.all(workers.map(work));

const order = new Map(all.map(({ mutant }, i) => [mutant, i]));
outcomes.sort((a, b) => order.get(a.mutant) - order.get(b.mutant));
const tally = (status) => outcomes.filter((outcome) => outcome.status === status).length;
let failed = tally('survived') + tally('invalid');
console.log();
for (const { mutant, status } of outcomes) if (status === 'survived' || status === 'invalid') console.log(`${status.toUpperCase()} ${nameOf(mutant)}`);
for (const { mutant, wrong, by } of outcomes) {
  if (!wrong) continue;
  failed++;
  console.log(`NOT EQUIVALENT, ${by} notices ${nameOf(mutant)}`);
}
for (const entry of known.unused()) {
  failed++;
  console.log(`EQUIVALENT TO NOTHING: test/mutation/equivalent.json has a mutant that does not exist: ${JSON.stringify(entry)}`);
}
if (complete) {
  writeTable(outcomes);
  if (failed === 0)
    keep('mutation', `${outcomes.length} mutants: ${tally('killed') + tally('timeout')} noticed, ${tally('equivalent')} equivalent, 0 survived`);
}
console.log(
  `mutants    ${outcomes.length} of ${all.length}: ${tally('killed')} killed, ${tally('timeout')} never ended, ${tally('equivalent')} equivalent, ${tally('survived')} survived, ${tally('invalid')} did not compile`,
);
console.log(`mutation: ${tally('killed') + tally('timeout') + tally('equivalent')} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
