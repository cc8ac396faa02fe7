// `npm run check:coverage`: every line of native/metal runs under the native tests, or says why it cannot (`// unreachable: …`).
// Needs what the software Metal needs (test/softmetal/README.md).
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Counts, marked } from '../test/metal-coverage/lines.mjs';
import { measure } from '../test/metal-coverage/measure.mjs';
import { root } from './run.mjs';

process.chdir(root);
const all = new Counts();
for (const counts of (await measure()).values()) all.merge(counts);

let [passed, failed] = [0, 0];
const total = { lines: 0, run: 0, marked: 0, branches: 0, taken: 0 };
for (const [file, lines] of [...all.files].sort()) {
  const reasons = marked(file);
  const source = readFileSync(path.join(root, file), 'utf8').split('\n');
  const missing = [];
  for (const [line, { count, branches }] of [...lines].sort(([a], [b]) => a - b)) {
    total.lines++;
    if (count > 0) total.run++;
    else if (reasons.has(line)) total.marked++;
    else missing.push(`${file}:${line}: never runs: ${source[line - 1].trim()}`);
    if (count > 0 && reasons.has(line) && !/^\s*}?\s*$/.test(source[line - 1])) missing.push(`${file}:${line}: marked unreachable, but runs`);
    total.branches += branches.length;
    total.taken += branches.filter((taken) => taken > 0).length;
  }
  if (missing.length === 0) passed++;
  else failed++;
  for (const line of missing) console.log(line);
}
const share = (part, whole) => `${((100 * part) / whole).toFixed(1)} %`;
console.log(`lines      ${total.lines}: ${total.run} run (${share(total.run, total.lines)}), ${total.marked} marked unreachable`);
console.log(`branches   ${total.branches}: ${total.taken} taken (${share(total.taken, total.branches)}), not gated`);
console.log(`coverage: ${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
