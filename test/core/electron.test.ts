import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const root = path.resolve(__dirname, '..', '..');
const binary = path.join(root, 'build', 'Release', 'weightnorm.node');

test('the add-on asks for no function that makes external buffers', () => {
  const names = new Set(readFileSync(binary, 'latin1').match(/(?:napi|node_api)_[a-z0-9_]+/g));
  expect([...names].filter((name) => /_create_(external_(arraybuffer|buffer|string)|buffer_from_arraybuffer)/.test(name))).toEqual([]);
  // The names are there to be found: those that copy are.
  expect(names).toContain('napi_create_arraybuffer');
});

test.each(['binding.gyp', 'CMakeLists.txt'])('%s compiles without them', (file) => {
  expect(readFileSync(path.join(root, file), 'utf8')).toContain('NODE_API_NO_EXTERNAL_BUFFERS_ALLOWED');
});

test('the binary is found by the rules for Electron', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'weightnorm-unpacked-'));
  try {
    // As an app is packed: everything of the package beside the archive, nothing of a build.
    const unpacked = path.join(folder, 'app.asar.unpacked', 'node_modules');
    const own = path.join(unpacked, 'weightnorm');
    cpSync(path.join(root, 'dist'), path.join(own, 'dist'), { recursive: true });
    cpSync(path.join(root, 'package.json'), path.join(own, 'package.json'));
    cpSync(path.join(root, 'node_modules', 'node-gyp-build'), path.join(unpacked, 'node-gyp-build'), { recursive: true });
    const prebuilds = path.join(own, 'prebuilds', `${process.platform}-${process.arch}`);
    mkdirSync(prebuilds, { recursive: true });
    cpSync(binary, path.join(prebuilds, 'weightnorm.node'));

    const script = `const { Device, functional } = require(${JSON.stringify(own)});
      const device = Device.get('cpu');
      functional.weightNorm(device.tensor([[3, 4]]), device.tensor([[10]])).read().then((w) => console.log([...w].join()));`;
    // With this variable node-gyp-build takes the process for Electron's.
    const env = { ...process.env, ELECTRON_RUN_AS_NODE: '1', WEIGHTNORM_ADDON: '' };
    expect(execFileSync(process.execPath, ['--eval', script], { cwd: folder, env, encoding: 'utf8' }).trim()).toBe('6,8');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
