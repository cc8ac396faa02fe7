// Makes the folder node-gyp takes as --nodedir from the node-api-headers package, so that a build downloads nothing.
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const require = createRequire(import.meta.url);

const configuration = (flags, optimisation) => ({ cflags: flags, xcode_settings: { GCC_OPTIMIZATION_LEVEL: optimisation } });

const commonGypi = {
  variables: { 'visibility%': 'hidden', 'library%': 'static_library', 'component%': 'static_library', 'python%': 'python3' },
  target_defaults: {
    default_configuration: 'Release',
    configurations: {
      Debug: { defines: ['DEBUG'], ...configuration(['-g', '-O0'], '0') },
      Release: { defines: ['NDEBUG'], ...configuration(['-O3'], '3') },
    },
    cflags: ['-fPIC', '-pthread'],
    ldflags: ['-pthread'],
    conditions: [
      [
        'OS=="mac"',
        {
          defines: ['_DARWIN_USE_64_BIT_INODE=1'],
          // gyp's own default is x86_64.
          conditions: [
            ['target_arch=="arm64"', { xcode_settings: { ARCHS: ['arm64'] } }],
            ['target_arch=="x64"', { xcode_settings: { ARCHS: ['x86_64'] } }],
          ],
        },
      ],
    ],
  },
};

/** Writes what lies in include/node of such a folder. */
export function writeNodeHeaders(include) {
  mkdirSync(include, { recursive: true });
  cpSync(require('node-api-headers').include_dir, include, { recursive: true });
  writeFileSync(path.join(include, 'common.gypi'), JSON.stringify(commonGypi, null, 2));
  writeFileSync(path.join(include, 'config.gypi'), JSON.stringify({ variables: {} }));
}

/** Writes the folder and returns its path. */
export function makeNodeDirectory(root) {
  const directory = path.join(root, 'build', 'nodedir');
  writeNodeHeaders(path.join(directory, 'include', 'node'));
  return directory;
}

/** Writes what `weightnorm build` needs besides the packed sources; npm packs no node_modules and runs a binding.gyp at a package's root. */
export function writePackedSources(root, folder) {
  const addonApi = path.dirname(require.resolve('node-addon-api/package.json'));
  mkdirSync(path.join(folder, 'node-addon-api'), { recursive: true });
  for (const file of ['package.json', 'index.js', 'napi.h', 'napi-inl.h', 'napi-inl.deprecated.h', 'LICENSE.md'])
    cpSync(path.join(addonApi, file), path.join(folder, 'node-addon-api', file));
  writeNodeHeaders(path.join(folder, 'node-api'));
  cpSync(path.join(path.dirname(require.resolve('node-api-headers/package.json')), 'LICENSE'), path.join(folder, 'node-api', 'LICENSE'));
  cpSync(path.join(root, 'binding.gyp'), path.join(folder, 'binding.gyp'));
}
