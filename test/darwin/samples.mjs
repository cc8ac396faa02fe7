// Bundles that break rules of the audit, to show that it notices.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const entry = (name) => `__attribute__((visibility("default"))) void *${name}(void);\nvoid *${name}(void) { return napi_create_object(); }\n`;
const good = `void *napi_create_object(void);
${entry('napi_register_module_v1')}${entry('node_api_module_get_api_version_v1')}`;
const frameworks = ['-framework', 'Foundation', '-framework', 'Metal', '-framework', 'MetalPerformanceShaders'];
const node = ['-bundle', '-undefined', 'dynamic_lookup'];

// `rules`: what the audit must find, and nothing else.
const samples = [
  { name: 'good', rules: [] },
  { name: 'intel', rules: ['architecture', 'an ad-hoc signature with every page hash right'], arch: 'x86_64' },
  { name: 'dylib', rules: ['a bundle'], link: ['-dynamiclib', '-undefined', 'dynamic_lookup', ...frameworks] },
  { name: 'newer', rules: ['for macOS 13.0 and later'], system: '14.0' },
  { name: 'exported', rules: ['exports the entry points and nothing else'], source: `${good}${entry('helper')}` },
  { name: 'unexported', rules: ['exports the entry points and nothing else'], source: good.replace(entry('node_api_module_get_api_version_v1'), '') },
  { name: 'less', rules: ['links the frameworks it needs and no other library'], link: [...node, '-framework', 'Foundation', '-framework', 'Metal'] },
  {
    name: 'more',
    rules: ['links the frameworks it needs and no other library', "links the system's libraries by their place"],
    link: [...node, ...frameworks, 'more.tbd'],
  },
  {
    name: 'undefined',
    rules: ['binds every name to a library but those of Node-API v9'],
    source: `${good}void uv_run(void);\n__attribute__((used)) void unused(void) { uv_run(); }\n`,
  },
  {
    name: 'strong',
    rules: ['refers weakly to what macOS 13 lacks'],
    source: `${good}extern char set[] __asm("_OBJC_CLASS_$_MTLResidencySetDescriptor");\n__attribute__((used)) void *unused(void) { return set; }\n`,
  },
  { name: 'flipped', rules: ['an ad-hoc signature with every page hash right'], patch: (bytes) => (bytes[0x1000] ^= 1) },
  { name: 'unsigned', rules: ['an ad-hoc signature with every page hash right'], link: [...node, ...frameworks, '-Wl,-no_adhoc_codesign'] },
];

const stub = `--- !tapi-tbd
tbd-version: 4
targets: [ arm64-macos ]
install-name: '@rpath/more.dylib'
...
`;

/** Links every sample into `folder`: `{ name, rules, file }` each. */
export function buildSamples({ sdk, tools, folder }) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'more.tbd'), stub);
  return samples.map(({ name, rules, source = good, link = [...node, ...frameworks], arch = 'arm64', system = '13.0', patch }) => {
    const file = path.join(folder, `${name}.node`);
    writeFileSync(path.join(folder, `${name}.c`), source);
    const flags = ['-target', `${arch}-apple-macos${system}`, '-isysroot', sdk, '-fvisibility=hidden', '-fuse-ld=lld', '-lc++'];
    execFileSync(tools.cc, [`${name}.c`, ...flags, ...link, '-o', file], { cwd: folder });
    if (patch) {
      const bytes = readFileSync(file);
      patch(bytes);
      writeFileSync(file, bytes);
    }
    return { name, rules, file };
  });
}
