// Mutants of the kernels, made from the tokens of whatever the source is when they are asked for.
//   barrier deleted      threadgroup_barrier or simdgroup_barrier is gone
//   barrier weakened     its memory flags are mem_none
//   guard dropped        a condition that keeps a thread inside its bounds always holds (never, where it leads out)
//   bound                the limit of a loop, or a comparison of a guard, is one more or one less; only less where the limit is a
//                        constant of the compilation, beyond which C++ itself gives no meaning to what the loop does
//   start                a loop over what is not such a constant starts one later
//   clamp dropped        min(a, b) is a
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { root } from '../../scripts/run.mjs';
import { closes, expressionStart, functionsOf, split, tokenize } from './tokens.mjs';

export const folder = 'native/metal/kernels';

const relations = ['<', '<=', '>', '>='];
/** What replaces a relation so that it holds for one value more or fewer. */
const more = { '<': '<=', '>': '>=', '<=': '<= 1 +', '>=': '+ 1 >=' };
const fewer = { '<=': '<', '>=': '>', '<': '+ 1 <', '>': '> 1 +' };

const numeric = /\d\.\d*f|\b(fabs|isinf|isnan|isfinite|as_type)\b|\b0x/;
/** Known when the kernel is compiled: template arguments, kStep, numbers. */
const constant = /^[\s()<>=?:+*/-]*((\b[A-Z]+\b|\bkStep\b|\bkGemmThreads\b|\d+)[\s()<>=?:+*/-]*)+$/;

const thread = /\b(lane|thread_index|simdgroup|simd|first|y|x)\b|\bgroup\b/;
const fact = /^!?[\w.]*\b(valid|active|owner|any|aligned)$|^!?inside\(/;

/** Whether a condition's text keeps threads inside bounds, or chooses the thread that writes for all. */
function keepsBounds(text) {
  if (numeric.test(text) || constant.test(text)) return false;
  if (/[^<]<[^<]|[^>-]>[^>]/.test(text)) return true;
  if (/[^=!]==[^=]/.test(text)) return thread.test(text.split('==')[0]);
  return fact.test(text);
}

/** Whether a < or > is one of `name<Argument>(`. */
function holdsTemplateArgument(tokens, at) {
  const open = tokens[at].text === '<' ? at : at - 2;
  return tokens[open]?.text === '<' && tokens[open + 2]?.text === '>' && tokens[open + 3]?.text === '(' && /^[A-Z]/.test(tokens[open + 1].text);
}

/** All mutants of one file: { file, operator, function, text, change, start, end, replacement }. */
export function mutantsOf(file, source) {
  const tokens = tokenize(source);
  const functions = functionsOf(tokens);
  const mutants = [];
  const textOf = (from, to) => (to > from ? source.slice(tokens[from].start, tokens[to - 1].end).replace(/\s+/g, ' ') : '');
  const add = (operator, from, to, replacement, text, change) =>
    mutants.push({ file, operator, function: functions[from], text, change, start: tokens[from].start, end: tokens[to - 1].end, replacement });

  const offByOne = (from, to, text) => {
    for (let at = from; at < to; at++) {
      const { text: relation } = tokens[at];
      if (!relations.includes(relation) || holdsTemplateArgument(tokens, at)) continue;
      if (constant.test(textOf(expressionStart(tokens, at), at)) && constant.test(textOf(at + 1, at + 2))) continue;
      const changes = constant.test(textOf(at + 1, to)) ? [fewer] : [more, fewer];
      for (const replacement of changes.map((change) => change[relation]))
        add('bound', at, at + 1, replacement, text, `${textOf(from, at)} ${replacement} ${textOf(at + 1, to)}`);
    }
  };
  const condition = (from, to, text, leadsOut) => {
    const separators = leadsOut ? ['||'] : ['&&'];
    for (const [start, end] of split(tokens, from, to, separators)) {
      const part = textOf(start, end);
      if (!keepsBounds(part)) continue;
      add('guard dropped', start, end, leadsOut ? 'false' : 'true', text, part);
    }
    for (const [start, end] of split(tokens, from, to, ['&&', '||'])) if (keepsBounds(textOf(start, end))) offByOne(start, end, text);
  };

  for (let i = 0; i < tokens.length; i++) {
    if (!functions[i]) continue;
    const { text } = tokens[i];
    if (/^(threadgroup|simdgroup)_barrier$/.test(text)) {
      const end = closes(tokens, i + 1) + 1;
      const call = textOf(i, end);
      add('barrier deleted', i, end, '', call, call);
      for (let at = i; at < end; at++)
        if (/^mem_(threadgroup|device)$/.test(tokens[at].text)) add('barrier weakened', at, at + 1, 'mem_none', call, 'mem_none');
    }
    if (text === 'if') {
      const end = closes(tokens, i + 1);
      const leadsOut = /^(return|continue|break)$/.test(tokens[end + 1].text) && !/^return (true|float)/.test(textOf(end + 1, end + 3));
      condition(i + 2, end, textOf(i, end + 1), leadsOut);
    }
    if (text === '?') {
      const start = expressionStart(tokens, i);
      if (keepsBounds(textOf(start, i))) condition(start, i, `${textOf(start, i)} ?`, false);
    }
    if (text === 'for') {
      const end = closes(tokens, i + 1);
      const [init, test] = split(tokens, i + 2, end, [';']);
      const head = textOf(i, end + 1);
      if (!test) continue;
      offByOne(...test, head);
      const ends = tokens.findIndex((token, at) => at >= test[0] && at < test[1] && relations.includes(token.text));
      if (constant.test(textOf(ends + 1, test[1])) && constant.test(textOf(init[1] - 1, init[1]))) continue;
      for (let at = init[0]; at < init[1]; at++)
        if (tokens[at].text === '=') add('start', at, at + 1, '= 1 +', head, `${textOf(init[0], at)} = 1 + ${textOf(at + 1, init[1])}`);
    }
    if (text === 'while') {
      const end = closes(tokens, i + 1);
      offByOne(i + 2, end, textOf(i, end + 1));
    }
    if (text === 'min' && tokens[i + 1].text === '(') {
      const end = closes(tokens, i + 1);
      const [first, second] = split(tokens, i + 2, end, [',']);
      if (second && !numeric.test(textOf(i, end)) && /\b(rows|columns|reduced|strip|length|chunk)\b/.test(textOf(i, end)))
        add('clamp dropped', i, end + 1, `(${textOf(...first)})`, textOf(i, end + 1), textOf(...first));
    }
  }
  return numbered(mutants);
}

/** Tells apart mutants with the same words: `nth` counts them from 1. */
function numbered(mutants) {
  const seen = new Map();
  return mutants.map((mutant) => {
    const key = JSON.stringify([mutant.operator, mutant.function, mutant.text, mutant.change]);
    seen.set(key, (seen.get(key) ?? 0) + 1);
    return { ...mutant, nth: seen.get(key) };
  });
}

export const kernelFiles = () => readdirSync(path.join(root, folder)).sort();

export function kernelMutants() {
  return kernelFiles().flatMap((name) => {
    const source = readFileSync(path.join(root, folder, name), 'utf8');
    return mutantsOf(`${folder}/${name}`, source).map((mutant) => ({
      ...mutant,
      kind: 'kernel',
      line: source.slice(0, mutant.start).split('\n').length,
      mutated: source.slice(0, mutant.start) + mutant.replacement + source.slice(mutant.end),
    }));
  });
}
