// `npm start`: builds what is missing, then resynthesises the bundled recording with the bundled voice.
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { ensureBuilt } from './ensure-built.mjs';
import { root, run } from './run.mjs';

await ensureBuilt();
const output = path.join(root, 'build', 'sample-1.wav');
mkdirSync(path.dirname(output), { recursive: true });
run(process.execPath, ['dist/cli/main.js', 'synth', 'examples/voice/sample-1.wav', '-o', output, ...process.argv.slice(2)]);
