// What a bundle must be to load into Node on macOS 13 and hide everything but its entry points.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { readReview } from '../fidelity/review.mjs';
import { readMachO } from './macho.mjs';

const { symbols } = createRequire(import.meta.url)('node-api-headers');
const napiVersion = 'v9';
const napi = new Set([...symbols[napiVersion].js_native_api_symbols, ...symbols[napiVersion].node_api_symbols].map((name) => `_${name}`));

// Symbols of what the reviewed list dates after macOS 13.
const review = readFileSync(new URL('../apple/review.md', import.meta.url), 'utf8');
const newer = new Set(
  [...readReview(review)]
    .filter(([, { since }]) => Number.parseFloat(since) > 13)
    .map(([use]) => (use.startsWith('@class ') ? use.replace('@class ', '_OBJC_CLASS_$_') : `_${use}`)),
);

const macos = 1;
const entryPoints = ['_napi_register_module_v1', '_node_api_module_get_api_version_v1'];
const frameworks = ['Foundation', 'Metal', 'MetalPerformanceShaders'];
// What those bring in: the classes of Foundation that live in CoreFoundation, the runtimes of the languages.
const libraries = ['CoreFoundation', 'libSystem.B.dylib', 'libc++.1.dylib', 'libobjc.A.dylib'];
const sorted = (names) => [...names].sort().join(' ');

/** The findings on one file: `{ rule, ok, detail }`. */
export function audit(file, arch) {
  const image = readMachO(file);
  const findings = [];
  const rule = (name, ok, detail) => findings.push({ rule: name, ok, detail });

  rule('architecture', image.arch === arch, image.arch);
  rule('a bundle', image.type === 'bundle', image.type);
  rule('for macOS 13.0 and later', image.platform === macos && image.minimum === '13.0', `platform ${image.platform}, macOS ${image.minimum}`);
  rule('exports the entry points and nothing else', sorted(image.exports) === sorted(entryPoints), sorted(image.exports));

  const names = image.libraries.map((library) => library.split('/').pop());
  const linked = names.filter((name) => !libraries.includes(name));
  rule('links the frameworks it needs and no other library', sorted(linked) === sorted(frameworks), sorted(names));
  const outside = image.libraries.filter((library) => !library.startsWith('/usr/lib/') && !library.startsWith('/System/Library/Frameworks/'));
  rule("links the system's libraries by their place", outside.length === 0, outside.join(' '));

  const open = image.imports.filter(({ ordinal }) => !image.libraries[ordinal - 1]).map(({ name }) => name);
  const stray = open.filter((name) => !napi.has(name));
  rule(`binds every name to a library but those of Node-API ${napiVersion}`, open.length > 0 && stray.length === 0, stray.join(' ') || `${open.length} names`);

  const strong = image.imports.filter(({ name, weak }) => newer.has(name) && !weak).map(({ name }) => name);
  rule('refers weakly to what macOS 13 lacks', strong.length === 0, strong.join(' '));

  // Apple silicon refuses unsigned code; lld signs nothing for Intel, where none is needed.
  if (arch === 'arm64' || image.signature) {
    const { adHoc, pages, wrong, coversAll } = image.signature ?? {};
    rule('an ad-hoc signature with every page hash right', adHoc === true && wrong === 0 && coversAll, `${pages} pages, ${wrong} wrong`);
  }
  return findings;
}
