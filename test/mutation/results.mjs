// What became of mutants: kept by content, so that a run that was cut off goes on, and told as a table.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { kernels } from '../../scripts/embed-kernels.mjs';
import { root } from '../../scripts/run.mjs';
import { hashOf } from '../metal-coverage/measure.mjs';
import { parts } from '../metal-coverage/parts.mjs';
import { home, replacements } from './workplace.mjs';

const digest = (...texts) =>
  texts
    .reduce((hash, text) => hash.update(text).update('\0'), createHash('sha256'))
    .digest('hex')
    .slice(0, 24);

/** What decides whether tests notice a kernel mutant, beside the mutant: the tests, the double and the code that launches its library. */
function launchers(library) {
  const folder = path.join(root, 'native', 'metal');
  const names = readdirSync(folder).filter((name) => /\.(mm|cc|h)$/.test(name));
  const text = (name) => readFileSync(path.join(folder, name), 'utf8');
  const direct = names.filter((name) => text(name).includes(`"${library}"`));
  const included = direct.flatMap((name) =>
    [...text(name).matchAll(/#include "metal\/(\w+)\.h"/g)].flatMap(([, stem]) => [`${stem}.h`, `${stem}.mm`, `${stem}.cc`]),
  );
  return [...new Set([...direct, ...included])]
    .filter((name) => names.includes(name) && !/^(command_stream|flight|allocator|metal_backend|metal_device)\./.test(name))
    .sort();
}

const identity = ({ file, operator, function: name, text, change, nth }) => digest(file, operator, name, text, change, String(nth));

export class Results {
  constructor() {
    this.folder = path.join(home, 'results');
    this.hints = path.join(home, 'hints');
    mkdirSync(this.folder, { recursive: true });
    mkdirSync(this.hints, { recursive: true });
    this.double = hashOf('test/softmetal/engine', 'test/softmetal/msl');
    this.host = hashOf('native/metal', 'test/softmetal/metal', 'test/softmetal/mps', 'test/softmetal/objc', 'test/softmetal/foundation');
    this.parts = new Map(parts().map((part) => [part.name, hashOf(...part.sources)]));
  }

  /** A mutant and the code that it ran with. */
  code(mutant) {
    if (mutant.kind === 'host') return digest(this.double, this.host, mutant.file, mutant.mutated);
    const changed = replacements(mutant);
    const code = changed.flatMap(({ name }) => launchers(name)).map((name) => readFileSync(path.join(root, 'native', 'metal', name), 'utf8'));
    return digest(this.double, ...changed.map(({ to }) => to), ...code);
  }

  /** A mutant that a part noticed stays noticed while that part is what it was; one that survived did so under all tests. */
  tests = (by) => (by ? this.parts.get(by) : digest(...this.parts.values()));

  get(mutant) {
    const file = path.join(this.folder, `${this.code(mutant)}.json`);
    if (!existsSync(file)) return undefined;
    const { tests, ...result } = JSON.parse(readFileSync(file, 'utf8'));
    return tests === this.tests(result.by) ? result : undefined;
  }

  set(mutant, result) {
    writeFileSync(path.join(this.folder, `${this.code(mutant)}.json`), JSON.stringify({ ...result, tests: this.tests(result.by) }));
    if (result.by) writeFileSync(path.join(this.hints, identity(mutant)), result.by);
  }

  /** The part that noticed this mutant when something else was different: worth running first. */
  hint(mutant) {
    const file = path.join(this.hints, identity(mutant));
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }
}

/** The reason why a mutant changes nothing that a test may see, from test/mutation/equivalent.json; marks the entry as used. */
export function equivalents() {
  const entries = JSON.parse(readFileSync(path.join(root, 'test', 'mutation', 'equivalent.json'), 'utf8'));
  const used = new Set();
  return {
    reasonOf(mutant) {
      const entry = entries.find(
        ({ file, function: name, text, change, nth }) =>
          `native/metal/${file}` === mutant.file &&
          name === mutant.function &&
          text === mutant.text &&
          [change].flat().includes(mutant.change) &&
          (nth === undefined || [nth].flat().includes(mutant.nth)),
      );
      if (entry) used.add(entry);
      return entry?.reason;
    },
    unused: () => entries.filter((entry) => !used.has(entry)),
    entries,
  };
}

export const nameOf = ({ file, line, operator, function: name, text, change, nth, kind }) =>
  kind === 'host'
    ? `${file.slice('native/metal/'.length)}:${line} seeded fault: ${change}`
    : `${path.relative(kernels, path.join(root, file))}:${line} ${operator} in ${name}: ${text} → ${operator === 'barrier deleted' ? 'nothing' : change}${nth > 1 ? ` (${nth})` : ''}`;

const count = (outcomes, status) => outcomes.filter((outcome) => outcome.status === status).length;

/** The tables of docs/mutation.md. */
export function report(outcomes, { entries, command, revision }) {
  const operators = [...new Set(outcomes.map(({ mutant }) => mutant.operator))];
  const row = (name, some) =>
    `| ${name} | ${some.length} | ${count(some, 'killed')} | ${count(some, 'timeout')} | ${count(some, 'equivalent')} | ${count(some, 'survived') + count(some, 'invalid')} | ${count(some, 'not run')} |`;
  const files = [...new Set(outcomes.filter(({ mutant }) => mutant.kind === 'kernel').map(({ mutant }) => mutant.file))].sort();
  const cell = (text) => text.replaceAll('|', '\\|');
  const alive = outcomes.filter(({ status }) => status === 'survived' || status === 'invalid');
  return `# Mutation tests

Written by \`${command}\`; the source it ran on has the hash \`${revision}\`. Each mutant is one change to a kernel or to the code that
launches it; the native tests that reach the changed line ran on it under the software Metal, and one of them had to fail (or never
end). Mutants are made from the source as it is (\`test/mutation/kernels.mjs\`), faults of the host are in \`test/mutation/faults.mjs\`.

| what was changed | mutants | killed | never ended | equivalent | survived | not run |
|---|---:|---:|---:|---:|---:|---:|
${operators
  .map((operator) =>
    row(
      operator,
      outcomes.filter(({ mutant }) => mutant.operator === operator),
    ),
  )
  .join('\n')}
${row('**all**', outcomes)}

| kernel file | mutants | killed | never ended | equivalent | survived | not run |
|---|---:|---:|---:|---:|---:|---:|
${files
  .map((file) =>
    row(
      path.basename(file),
      outcomes.filter(({ mutant }) => mutant.file === file),
    ),
  )
  .join('\n')}
${alive.length > 0 ? `\n## Survivors\n\n${alive.map(({ mutant }) => `- \`${nameOf(mutant)}\``).join('\n')}\n` : ''}
## Seeded faults of the host

| file | fault | noticed by |
|---|---|---|
${outcomes
  .filter(({ mutant }) => mutant.kind === 'host')
  .map(
    ({ mutant, status, by }) =>
      `| ${path.basename(mutant.file)} | ${mutant.change} | ${status === 'equivalent' ? 'equivalent, see below' : status === 'survived' ? '**nothing**' : status === 'not run' ? 'not run' : `${by}${status === 'timeout' ? ' (never ended)' : ''}`} |`,
  )
  .join('\n')}

## Equivalent mutants

${entries
  .map(
    ({ file, function: name, text, change, reason }) =>
      `- ${file}${name ? `, ${name}` : ''}: \`${cell(text)}\` → ${[change]
        .flat()
        .map((one) => `\`${cell(one)}\``)
        .join(', ')}: ${reason}`,
  )
  .join('\n')}
`;
}
