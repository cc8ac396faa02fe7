// Tests of examples/server, also against a real Redis of their own (apt-get install redis-server).
import path from 'node:path';
import { root, run } from './run.mjs';

run('npm', ['test', '--silent'], { cwd: path.join(root, 'examples', 'server') });
