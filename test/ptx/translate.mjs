// Turns one preprocessed .metal file (standard input) into C++ for clang's CUDA mode (standard output): attributes become
// arguments of generated __global__ entry points, one for each host_name.
import { readFileSync } from 'node:fs';

const source = readFileSync(0, 'utf8').replace(/^# \d.*$/gm, '');

/** Index just after the bracket that closes the one at `open`. */
function closing(text, open) {
  const pairs = { '(': ')', '<': '>', '[': ']' };
  let depth = 0;
  for (let i = open; i < text.length; i++) {
    if (text[i] === text[open]) depth++;
    if (text[i] === pairs[text[open]] && --depth === 0) return i + 1;
  }
  throw new Error(`unbalanced ${text[open]} near ${text.slice(open, open + 80)}`);
}

/** Splits at commas outside brackets. */
function arguments_(text) {
  const parts = [];
  let depth = 0;
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    if ('([<'.includes(text[i])) depth++;
    if (')]>'.includes(text[i])) depth--;
    if (text[i] === ',' && depth === 0) {
      parts.push(text.slice(start, i));
      start = i + 1;
    }
  }
  return [...parts, text.slice(start)].map((part) => part.trim());
}

/** What the entry point passes for a kernel parameter such as `device const T* v [[buffer(0)]]`. */
function parameter(text) {
  const [, declaration, attribute, index] = /^([\s\S]*?)\s*\[\[\s*(\w+)\s*(?:\(\s*(\d+)\s*\))?\s*\]\]$/.exec(text) ?? [];
  if (!attribute) throw new Error(`kernel parameter without attribute: ${text}`);
  return { declaration, attribute, index };
}

// Kernels: strip attributes, remember the parameters by name.
const kernels = new Map();
const plain = []; // kernels that are not templates
let text = '';
let rest = source;
for (;;) {
  const match = /(template\s*<[^>]*>\s*)?\[\[\s*kernel\b/.exec(rest);
  if (!match) break;
  const before = rest.slice(0, match.index);
  let at = match.index + match[0].lastIndexOf('[[');
  const isInstance = /\[\[\s*host_name\([^)]*\)\s*\]\]\s*$/.test(before);
  if (isInstance) {
    text += before + rest.slice(match.index, at + 2);
    rest = rest.slice(at + 2);
    continue;
  }
  let maxThreads = '';
  while (rest.startsWith('[[', at)) {
    maxThreads ||= /\bmax_total_threads_per_threadgroup\((\d+)\)/.exec(rest.slice(at, closing(rest, at)))?.[1] ?? '';
    at = closing(rest, at);
    at += /^\s*/.exec(rest.slice(at))[0].length;
  }
  const [head, name] = /^void\s+(\w+)\s*/.exec(rest.slice(at));
  const open = at + head.length;
  const end = closing(rest, open);
  const parameters = arguments_(rest.slice(open + 1, end - 1)).map(parameter);
  kernels.set(name, { parameters, maxThreads });
  if (!match[1]) plain.push(name);
  text += `${before}${match[1] ?? ''}void ${name}(${parameters.map((p) => p.declaration).join(', ')})`;
  rest = rest.slice(end);
}
text += rest;

// Explicit instantiations name the entry points.
const entries = plain.map((name) => ({ host: name, expression: name, name }));
text = text.replace(
  /template\s*\[\[\s*host_name\(([^)]*)\)\s*\]\]\s*\[\[\s*kernel[^\]]*\]\]\s*decltype\([^;]*?\)\s*(\w+)(<[^;]*>)\s*;/g,
  (_, host, name, types) => {
    entries.push({ host: [...host.matchAll(/"([^"]*)"/g)].map((m) => m[1]).join(''), expression: name + types, name });
    return '';
  },
);
text = text.replace(/\bconstant\s+(\w+)\s+(\w+)\s*\[\[\s*function_constant\(\d+\)\s*\]\]\s*;/g, '__constant__ __attribute__((used)) $1 $2;');
text = text.replace(/\bthreadgroup\s+([\w:]+)\s+(\w+)\s*\[/g, '__shared__ $1 $2[');
if (/\[\[/.test(text)) throw new Error(`attribute left over: ${/\[\[.{0,60}/.exec(text)[0]}`);

const lines = entries.map(({ host, expression, name }) => {
  const bindings = kernels.get(name).parameters.map(({ declaration, attribute, index }, i) => {
    const type = `typename Parameter<${i}, decltype(&${expression})>::type`;
    if (attribute === 'buffer') return /&/.test(declaration) ? `value<${type}>(launched)` : `(${type})launched.buffer[${index}]`;
    if (attribute === 'threadgroup') return `(${type})launch_threadgroup_memory`;
    return `launch::${attribute}<${type}>()`;
  });
  const value = kernels.get(name).parameters.findIndex(({ declaration, attribute }) => attribute === 'buffer' && /&/.test(declaration));
  const bytes = value < 0 ? '8' : `sizeof(typename Referred<typename Parameter<${value}, decltype(&${expression})>::type>::type)`;
  const { maxThreads } = kernels.get(name);
  const bounds = maxThreads ? `__attribute__((launch_bounds(${maxThreads}))) ` : '';
  return `extern "C" __global__ ${bounds}void ${host}(LaunchArguments<${bytes}> launched) {\n  (${expression})(${bindings.join(',\n      ')});\n}`;
});

process.stdout.write(`#include "msl_cuda.h"
${text}
#pragma clang attribute pop
template <int I, class F> struct Parameter;
template <class P, class... Rest> struct Parameter<0, void (*)(P, Rest...)> { typedef P type; };
template <int I, class P, class... Rest> struct Parameter<I, void (*)(P, Rest...)> {
  typedef typename Parameter<I - 1, void (*)(Rest...)>::type type;
};
template <class T> struct Referred;
template <class T> struct Referred<const T&> { typedef T type; };
template <class R, size_t Bytes>
__attribute__((always_inline)) inline const typename Referred<R>::type& value(const LaunchArguments<Bytes>& launched) {
  static_assert(sizeof launched <= 4096, "the value argument is too large");
  return *(const typename Referred<R>::type*)launched.bytes;
}
#pragma clang force_cuda_host_device end
${lines.join('\n')}
`);
