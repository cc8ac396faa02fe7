// From what clang counted to lines of native/metal: counts by line and branches by line, summed over libraries and instances.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { flatten, kernels, libraries } from '../../scripts/embed-kernels.mjs';
import { root } from '../../scripts/run.mjs';

const tool = (name) => `llvm-${name}-19`;

/** lcov records of one binary: [{ file, lines: Map line → count, branches: Map line → counts }]. */
function exported(binary, profile) {
  const text = execFileSync(tool('cov'), ['export', '-format=lcov', `-instr-profile=${profile}`, binary], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const files = [];
  for (const row of text.split('\n')) {
    const [kind, rest] = [row.slice(0, row.indexOf(':')), row.slice(row.indexOf(':') + 1)];
    if (kind === 'SF') files.push({ file: rest, lines: new Map(), branches: new Map() });
    const last = files.at(-1);
    if (kind === 'DA') {
      const [line, count] = rest.split(',').map(Number);
      last.lines.set(line, (last.lines.get(line) ?? 0) + count);
    }
    if (kind === 'BRDA') {
      const [line, , , count] = rest.split(',');
      const counts = last.branches.get(Number(line)) ?? [];
      counts.push(count === '-' ? 0 : Number(count));
      last.branches.set(Number(line), counts);
    }
  }
  return files;
}

/** Where each line of a rewritten kernel library comes from in its Metal source (0: nowhere), after its line markers. */
function sourceLines(rewritten) {
  let [file, line] = ['', 0];
  return rewritten.split('\n').map((text) => {
    const marker = /^# (\d+) "([^"]*)"/.exec(text);
    if (marker) {
      [line, file] = [Number(marker[1]) - 1, marker[2]];
      return 0;
    }
    line++;
    return file === 'program_source' ? line : 0;
  });
}

/** Sums of counts by file and line. */
export class Counts {
  files = new Map();

  add(file, line, count, branches = []) {
    if (!this.files.has(file)) this.files.set(file, new Map());
    const lines = this.files.get(file);
    const known = lines.get(line) ?? { count: 0, branches: [] };
    known.count += count;
    branches.forEach((taken, i) => {
      known.branches[i] = (known.branches[i] ?? 0) + taken;
    });
    lines.set(line, known);
  }

  merge(other) {
    for (const [file, lines] of other.files) for (const [line, { count, branches }] of lines) this.add(file, line, count, branches);
  }
}

/** The text of every kernel library as the add-on holds it, with the origins of its lines. */
function kernelTexts() {
  return new Map(
    libraries().map((name) => {
      const lines = flatten(path.join(kernels, name));
      return [lines.map(({ content }) => `${content}\n`).join(''), lines];
    }),
  );
}

/** What one run counted: `folder` holds its .profraw files, `cache` the compiled kernels, `program` the test. */
export function collect(folder, cache, program) {
  const counts = new Counts();
  const raw = readdirSync(folder).filter((name) => name.endsWith('.profraw'));
  const merged = (name, files) => {
    const profile = path.join(folder, `${name}.profdata`);
    execFileSync(tool('profdata'), ['merge', '-o', profile, ...files.map((file) => path.join(folder, file))], { stdio: ['ignore', 'ignore', 'inherit'] });
    return profile;
  };
  if (!raw.includes('host.profraw')) throw new Error(`${program} left no counts in ${folder}: it did not end in order`);
  for (const { file, lines, branches } of exported(program, merged('host', ['host.profraw']))) {
    const name = path.relative(root, file);
    if (!/^native\/metal\/.*\.(mm|cc|h)$/.test(name)) continue;
    for (const [line, count] of lines) counts.add(name, line, count, branches.get(line));
  }
  const texts = kernelTexts();
  const keys = new Set(raw.filter((name) => name !== 'host.profraw').map((name) => name.slice(0, name.indexOf('-'))));
  for (const key of keys) {
    const files = raw.filter((name) => name.startsWith(`${key}-`));
    const origins = texts.get(readFileSync(path.join(cache, `${key}.metal`), 'utf8'));
    if (!origins) continue; // a library of another test
    const lineOf = sourceLines(readFileSync(path.join(cache, `${key}.cc`), 'utf8'));
    for (const { file, lines, branches } of exported(path.join(cache, `${key}.so`), merged(key, files))) {
      if (path.basename(file) !== 'k.cc') continue;
      for (const [line, count] of lines) {
        const origin = origins[lineOf[line - 1] - 1];
        if (origin) counts.add(path.relative(root, origin.file), origin.line, count, branches.get(line));
      }
    }
  }
  return counts;
}

/** Lines of a source file that are marked as never run, with the reason: one line, or a block from the line that opens it. */
export function marked(file) {
  const reasons = new Map();
  const lines = readFileSync(path.join(root, file), 'utf8').split('\n');
  lines.forEach((text, i) => {
    const marker = /\/\/ unreachable: (\S.*)$/.exec(text);
    if (!marker) return;
    const alone = /^\s*\/\//.test(text);
    const start = alone ? i + 1 : i;
    const indent = (at) => /^\s*/.exec(lines[at])[0].length;
    reasons.set(start + 1, marker[1]);
    // A block ends where its brace closes: at the first line that is indented no deeper.
    if (!/\{\s*(\/\/.*)?$/.test(lines[start])) return;
    let end = start + 1;
    while (end < lines.length && (lines[end].trim() === '' || indent(end) > indent(start))) end++;
    for (let at = start; at <= end; at++) reasons.set(at + 1, marker[1]);
  });
  return reasons;
}
