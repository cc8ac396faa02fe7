// One kernel file under clang's C++ with address spaces (test/fidelity/msl.h), and from the code of every instantiated kernel and what it
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const vectors = ['float', 'half', 'int', 'uint', 'short', 'ushort', 'char', 'uchar', 'long', 'ulong'].flatMap((type) => [2, 3, 4].map((n) => `${type}${n}`));
const construction = new RegExp(`\\b(${vectors.join('|')})(\\s*)\\(`, 'g');

/** The file with its includes, macros expanded; `#include <…>` of Metal's own headers yields nothing. */
export function preprocess({ root, tools }, file) {
  const flags = [
    '-E',
    '-x',
    'c++',
    '-std=c++14',
    '-nostdinc',
    '-D__METAL__',
    '-D__METAL_VERSION__=300',
    '-I',
    path.join(root, 'test', 'softmetal', 'msl', 'stubs'),
  ];
  const result = spawnSync(tools.cxx, [...flags, file], { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28 });
  if (result.status !== 0) throw new Error(`${file} does not preprocess:\n${result.stderr}`);
  return result.stdout;
}

/** MSL in the spelling of C++ with address spaces. Lines stay where they are. */
export function toCpp(msl) {
  const attributes = /\[\[((?:[^[\]"]|"[^"]*"|\[[^\]]*\])*)\]\]/g;
  const variable = /(?<=[;{}]\s*)threadgroup\s+([\w:]+(?:<[^;(){}]*?>)?)\s+(\w+(?:\s*\[[^\];]*\])*(?:\s*,\s*\w+(?:\s*\[[^\];]*\])*)*)\s*;/g;
  const reference = (declarator) => declarator.trim().replace(/^(\w+)(.*)$/s, '(&$1)$2 = threadgroup_memory()');
  return msl
    .replace(attributes, (attribute, text) => (/^\s*function_constant/.test(text) ? ' = 0' : attribute.replace(/[^\n]/g, ' ')))
    .replace(construction, 'metal::make<$1>$2(')
    .replace(variable, (_, type, names) => {
      const declarators = names.split(/,(?![^[]*\])/);
      return declarators.map((declarator) => `threadgroup ${type} ${reference(declarator)};`).join(' ');
    })
    .replace(/\bkernel\b(?=\s+void)/g, '');
}

/** Functions of LLVM assembly: name → { calls, text }. */
function functions(assembly) {
  const found = new Map();
  for (const [, name, body] of assembly.matchAll(/^define [^@]*@("[^"]+"|[\w.$]+)\([^\n]*\{\n([\s\S]*?)^\}/gm)) {
    found.set(name, { calls: new Set([...body.matchAll(/\bcall [^@\n]*@("[^"]+"|[\w.$]+)\(/g)].map((match) => match[1])), body });
  }
  return found;
}

/** A cycle of calls through `name`, or nothing. */
function recursion(all, name) {
  const seen = new Set();
  const pending = [...all.get(name).calls];
  while (pending.length > 0) {
    const callee = pending.pop();
    if (callee === name) return true;
    if (seen.has(callee) || !all.has(callee)) continue;
    seen.add(callee);
    pending.push(...all.get(callee).calls);
  }
  return false;
}

/** What must not be in the code. */
function inspect(assembly) {
  const all = functions(assembly);
  const errors = [];
  for (const [name, { body }] of all) {
    if (recursion(all, name)) errors.push(`${name}: recursion`);
    if (/\baddrspacecast\b/.test(body)) errors.push(`${name}: cast to another address space`);
    if (/\bdouble\b/.test(body)) errors.push(`${name}: double arithmetic`);
    if (/\bcall [^@\n]*\s%[\w.]+\(/.test(body)) errors.push(`${name}: call through a pointer`);
  }
  return errors;
}

/** Kernels of a file: instantiations with their names for the host, and kernels that are no templates. */
function countKernels(msl) {
  const instances = msl.match(/\[\[host_name\(/g) ?? [];
  const plain = msl.match(/(^|[;}\n])\s*(kernel|\[\[kernel\]\])\s+void\s+\w+\s*\(/g) ?? [];
  const templates = msl.match(/template\s*<[^;{}()]*>\s*(kernel|\[\[kernel\]\])\s+void\s+\w+\s*\(/g) ?? [];
  return instances.length + plain.length - templates.length;
}

/** `{ errors, kernels }`: what is wrong with a kernel file, and how many kernels it has. */
export function checkKernel(setup, file, folder) {
  mkdirSync(folder, { recursive: true });
  const header = path.join(setup.root, 'test', 'fidelity', 'msl.h');
  const source = path.join(folder, `${path.basename(file, '.metal')}.cc`);
  const msl = preprocess(setup, file);
  const kernels = countKernels(msl);
  writeFileSync(source, `#include "${header}"\n${toCpp(msl)}`);
  const language = ['-x', 'c++', '-std=c++14', '-target', 'spir64-unknown-unknown', '-nostdinc', '-fno-builtin', '-fno-exceptions', '-fno-rtti'];
  const flags = ['-O0', '-S', '-emit-llvm', '-o', '-', '-ferror-limit=0', '-Wno-everything'];
  const result = spawnSync(setup.tools.cxx, [...language, ...flags, source], { cwd: setup.root, encoding: 'utf8', maxBuffer: 1 << 28 });
  const errors = result.stderr.split('\n').filter((line) => /: (fatal )?error: /.test(line));
  if (result.status !== 0) return { errors: errors.length > 0 ? errors : [result.stderr], kernels };
  return { errors: inspect(result.stdout), kernels };
}
