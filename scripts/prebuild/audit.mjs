// What a binary must be before it is packed; reads ELF files with binutils and Mach-O files with a Mac's tools.
import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { readBinaryHeader } from '../../dist/loader/binary-header.js';
import { oldestGlibc } from './targets.mjs';

const entryPoints = ['napi_register_module_v1', 'node_api_module_get_api_version_v1'];
const largest = 2_000_000;
const capture = (command, ...args) => execFileSync(command, args, { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } });
const lines = (text) => text.split('\n').filter(Boolean);
const newer = (a, b) => a.localeCompare(b, 'en', { numeric: true }) > 0;

// Beyond the system's C library, nothing that a user would have to install.
const allowedLibraries = {
  glibc: /^(lib(c|m|dl)\.so\.6|libdl\.so\.2|libpthread\.so\.0|librt\.so\.1|ld-linux-(x86-64\.so\.2|aarch64\.so\.1))$/,
  musl: /^libc\.so$/,
};

function auditElf(file, { libc }) {
  const symbols = lines(capture('readelf', '--dyn-syms', '--wide', file))
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => /^\d+:$/.test(fields[0]) && fields.length >= 8);
  const exported = symbols.filter((fields) => fields[6] !== 'UND' && fields[4] !== 'LOCAL').map((fields) => fields[7]);
  const versions = symbols.map((fields) => /@GLIBC_([\d.]+)/.exec(fields[7])?.[1]).filter(Boolean);
  const required = versions.sort((a, b) => (newer(a, b) ? 1 : -1)).pop();
  const dynamic = capture('readelf', '--dynamic', '--wide', file);
  const libraries = [...dynamic.matchAll(/\(NEEDED\).*\[(.*)\]/g)].map((match) => match[1]);
  const sections = capture('readelf', '--section-headers', '--wide', file);
  const foreign = libraries.filter((library) => !allowedLibraries[libc].test(library));
  const stack = lines(capture('readelf', '--program-headers', '--wide', file)).find((line) => /GNU_STACK/.test(line)) ?? '';
  return [
    ...exportsAndSize(file, exported),
    { rule: 'stripped', ok: !/ \.(symtab|debug_)/.test(sections), detail: 'has symbols' },
    { rule: 'needs the C library alone', ok: foreign.length === 0, detail: foreign.join() },
    { rule: 'no search path', ok: !/\((RPATH|RUNPATH)\)/.test(dynamic), detail: 'has RPATH' },
    { rule: 'no text relocations', ok: !/TEXTREL/.test(dynamic), detail: 'has TEXTREL' },
    { rule: 'no executable stack', ok: /GNU_STACK/.test(stack) && !/RWE/.test(stack), detail: stack.trim() },
    libc === 'glibc'
      ? { rule: `glibc ${oldestGlibc} or older`, ok: required !== undefined && !newer(required, oldestGlibc), detail: required, note: `glibc ${required}` }
      : { rule: 'no symbol of glibc', ok: required === undefined, detail: required },
  ];
}

function auditMachO(file) {
  const exported = lines(capture('nm', '-gU', file)).map((line) => line.trim().split(/\s+/).pop().replace(/^_/, ''));
  const libraries = lines(capture('otool', '-L', file))
    .slice(1)
    .map((line) => line.trim().split(' ')[0]);
  const foreign = libraries.filter(
    (library) => !/^(\/usr\/lib\/|\/System\/Library\/|@rpath\/weightnorm\.node$)/.test(library) && !library.endsWith('/weightnorm.node'),
  );
  return [...exportsAndSize(file, exported), { rule: 'needs the system alone', ok: foreign.length === 0, detail: foreign.join() }];
}

function exportsAndSize(file, exported) {
  const bytes = statSync(file).size;
  return [
    { rule: 'exports the entry points alone', ok: exported.sort().join() === entryPoints.join(), detail: exported.join() },
    { rule: `at most ${largest / 1e6} MB`, ok: bytes <= largest, detail: `${bytes} bytes` },
  ];
}

/** Checks of one binary: `{ rule, ok, detail }` each. */
export function audit(file, target) {
  const header = readBinaryHeader(file);
  const made = header && `${header.platform}-${header.arch}`;
  const wanted = `${target.platform}-${target.arch}`;
  const rules = [{ rule: `is for ${wanted}`, ok: made === wanted, detail: String(made) }];
  if (made !== wanted) return rules;
  return rules.concat(target.platform === 'darwin' ? auditMachO(file) : auditElf(file, target));
}
