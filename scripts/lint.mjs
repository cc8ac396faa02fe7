// Formatting and lint of TypeScript (biome), formatting of native code (clang-format) and lint of workflows, as CI checks them; --fix mends.
import { spawnSync } from 'node:child_process';
import { lintWorkflows } from './lint-workflows.mjs';
import { root, run, tool } from './run.mjs';

const fix = process.argv.includes('--fix');
run(process.execPath, [tool('@biomejs/biome/bin/biome'), 'check', '--error-on-warnings', ...(fix ? ['--write'] : []), '.']);

const clangFormat = ['clang-format-19', 'clang-format'].find((name) => spawnSync(name, ['--version']).status === 0);
if (!clangFormat) {
  console.error('clang-format was not found (apt-get install clang-format-19)');
  process.exit(1);
}
const files = spawnSync(
  'git',
  ['ls-files', 'native/*.h', 'native/*.cc', 'native/*.mm', 'native/*.metal', 'native/*.inl', 'test/**/*.cc', 'test/**/*.h', 'test/**/*.mm', 'bench/**/*.cc'],
  { cwd: root, encoding: 'utf8' },
)
  .stdout.split('\n')
  .filter((file) => file && !file.startsWith('test/apple/include'));
run(clangFormat, [fix ? '-i' : '--dry-run', ...(fix ? [] : ['--Werror']), ...files]);
if (!(await lintWorkflows())) process.exit(1);
