// Puts the stripped binary of this platform under prebuilds/, named as node-gyp-build looks for it; downloads nothing.
import path from 'node:path';
import { ensureBuilt } from './ensure-built.mjs';
import { root, run, tool } from './run.mjs';

await ensureBuilt();
run(process.execPath, [tool('prebuildify/bin.js'), '--napi', '--strip', '--tag-libc'], {
  // In place of its own node-gyp, which would download headers.
  env: { ...process.env, PREBUILD_NODE_GYP: path.join(root, 'scripts', 'build-addon.mjs') },
});
