// `npm run check:fidelity`: holds the Metal backend to the rules of the real compilers, which the software Metal does not know.
//   kernels   address spaces, MSL's restrictions and what the code of every instantiated kernel may hold (test/fidelity/kernels.mjs)
//   backend   availability on macOS 13, ARC and warnings of clang for arm64 and Intel Macs (test/fidelity/objc.mjs)
//   review    every selector, class, constant and C function of the system that the backend uses is in test/apple/review.md, and no other
//   samples   test/fidelity/bad: each breaks one rule, and is noticed
// Needs what check:darwin needs (scripts/check-darwin.mjs).
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { makeSdk } from '../test/darwin/sdk.mjs';
import { llvm } from '../test/darwin/toolchain.mjs';
import { collect, references } from '../test/fidelity/api.mjs';
import { checkKernel, preprocess } from '../test/fidelity/kernels.mjs';
import { compileObject, diagnose, parse } from '../test/fidelity/objc.mjs';
import { checkRestrictions } from '../test/fidelity/restrictions.mjs';
import { compare, missingTests, readReview } from '../test/fidelity/review.mjs';
import { root } from './run.mjs';

const counts = { declarations: [0, 0], fidelity: [0, 0] };
let suite = 'fidelity';
function report(what, errors) {
  counts[suite][errors.length === 0 ? 0 : 1]++;
  if (errors.length > 0) console.log(`FAILED ${what}\n${errors.map((error) => `  ${error}`).join('\n')}`);
}

const tools = llvm();
const darwin = path.join(root, 'build', 'darwin');
mkdirSync(darwin, { recursive: true });
const setup = { root, tools, sdk: makeSdk(root, darwin) };
const scratch = path.join(root, 'build', 'fidelity');
mkdirSync(scratch, { recursive: true });

function checkKernels() {
  const folder = 'native/metal/kernels';
  let count = 0;
  for (const name of readdirSync(path.join(root, folder)).filter((file) => file.endsWith('.metal'))) {
    const file = `${folder}/${name}`;
    const { errors, kernels } = checkKernel(setup, file, scratch);
    report(`${file}: address spaces and code`, errors);
    report(`${file}: restrictions of MSL`, checkRestrictions(preprocess(setup, file)));
    count += kernels;
  }
  return count;
}

/** Checks every file of the backend; returns what they use of the system. */
function checkBackend() {
  const uses = new Set();
  const candidates = new Set();
  const linked = { symbols: new Set(), classes: new Set(), selectors: new Set() };
  const run = (command, args) => execFileSync(command, args, { encoding: 'utf8' });
  for (const file of createRequire(import.meta.url)('../sources.json').metal) {
    const { errors, nodes } = parse({ ...setup, arch: 'arm64' }, file, 'weightnorm::metal');
    report(`${file}: arm64`, errors);
    for (const node of nodes) collect(node, uses, candidates);
    const object = path.join(scratch, 'object.o');
    rmSync(object, { force: true });
    report(`${file}: x86_64`, compileObject({ ...setup, arch: 'x86_64' }, file, object));
    if (!existsSync(object)) continue;
    for (const [kind, names] of Object.entries(references(object, tools, run))) for (const name of names) linked[kind].add(name);
  }
  // A name that the source has and the object leaves to the linker is the system's.
  for (const name of linked.symbols) if (candidates.has(name)) uses.add(name);
  for (const name of linked.classes) uses.add(`@class ${name}`);
  return { uses, selectors: linked.selectors };
}

function checkReview({ uses, selectors }) {
  const markdown = readFileSync(path.join(root, 'test', 'apple', 'review.md'), 'utf8');
  const rows = readReview(markdown);
  report('the reviewed list and what the backend uses', compare(uses, rows));
  const known = new Set([...rows.keys()].map((use) => /^[-+]\[\S+ (\S+)\]$/.exec(use)?.[1]));
  report(
    'the selectors in the compiled backend are those of the reviewed list',
    [...selectors].filter((selector) => !known.has(selector)).map((selector) => `not in the reviewed list: ${selector}`),
  );
  const tests = path.join(root, 'test', 'softmetal', 'test');
  const sources = readdirSync(tests).filter((file) => file.endsWith('.mm'));
  report(
    'every rule that the backend relies on has its negative test',
    missingTests(
      markdown,
      sources.map((file) => readFileSync(path.join(tests, file), 'utf8')),
    ),
  );
  const [first] = rows.keys();
  const without = new Map(rows);
  without.delete(first);
  const noticed = (list, message) => (compare(uses, list).some((error) => error.startsWith(message)) ? [] : ['not noticed']);
  report('a use that nobody reviewed is noticed', noticed(without, `not in the reviewed list: ${first}`));
  report('a row that nothing uses is noticed', noticed(new Map([...rows, ['-[MTLDevice isRemovable]', {}]]), 'in the reviewed list, but nothing uses it'));
}

function checkSamples() {
  const folder = 'test/fidelity/bad';
  for (const name of readdirSync(path.join(root, folder))) {
    const file = `${folder}/${name}`;
    const expected = /^\/\/ expect: (.+)$/m.exec(readFileSync(path.join(root, file), 'utf8'));
    if (!expected) throw new Error(`${file} does not say what to expect`);
    const errors = name.endsWith('.mm')
      ? diagnose({ ...setup, arch: 'arm64' }, file)
      : [...checkKernel(setup, file, path.join(scratch, 'bad')).errors, ...checkRestrictions(preprocess(setup, file))];
    const noticed = errors.some((error) => new RegExp(expected[1]).test(error));
    report(`${file} must be noticed`, noticed ? [] : [`expected ${expected[1]}`, ...errors]);
  }
}

const kernels = checkKernels();
const used = checkBackend();
checkSamples();
suite = 'declarations';
checkReview(used);
console.log(`${kernels} kernels`);
for (const [name, [passed, failed]] of Object.entries(counts)) console.log(`${name}: ${passed} passed, ${failed} failed`);
process.exitCode = Object.values(counts).some(([, failed]) => failed > 0) ? 1 : 0;
