import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const root = path.resolve(__dirname, '..', '..');
const folder = path.join(root, '.github', 'workflows');
const workflows = readdirSync(folder).map((name) => [name, readFileSync(path.join(folder, name), 'utf8')] as const);
const { scripts } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> };

const outOf = (command: string, ...args: string[]): string => {
  const { stdout, stderr } = spawnSync(command, args, { cwd: root, encoding: 'utf8' });
  return stdout + stderr;
};

test('the workflows have no problem', () => {
  expect(outOf(process.execPath, 'scripts/lint-workflows.mjs', ...workflows.map(([name]) => path.join(folder, name)))).toBe(
    `Checked ${workflows.length} workflows. No problems.\n`,
  );
});

test('the lint finds what is wrong', () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'weightnorm-workflow-'));
  try {
    const file = path.join(directory, 'bad.yml');
    writeFileSync(
      file,
      [
        'on: push',
        'jobs:',
        '  a:',
        '    runs-on: ubuntu-24.04',
        '    if: nothing.here',
        '    needs: b',
        '    steps:',
        '      - uses: actions/checkout@v4',
      ].join('\n'),
    );
    const out = outOf(process.execPath, 'scripts/lint-workflows.mjs', file);
    expect(out).toMatch(/bad\.yml:3:3: job "a" needs job "b"/);
    expect(out).toMatch(/bad\.yml:5:9: undefined variable "nothing"/);
    expect(out).toMatch(/bad\.yml:8: actions\/checkout@v4 is not pinned/);
    expect(out).toMatch(/3 problems/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test.each(workflows)('%s runs scripts that exist, without standing permissions', (_name, text) => {
  const named = [...text.matchAll(/npm run (?:--silent )?([\w:-]+)/g)].map(([, name]) => name as string);
  expect(named.filter((name) => !(name in scripts))).toEqual([]);
  const files = [...text.matchAll(/run: (?:bash|node) (\.?[\w/.-]+)$/gm)].map(([, file]) => file as string);
  expect(files.filter((file) => !existsSync(path.join(root, file)))).toEqual([]);
  expect(text).toMatch(/^permissions:\n {2}contents: read\n/m);
});

test('only the job that publishes may sign, and nothing but it sees the token', () => {
  const text = workflows.map(([, content]) => content).join('');
  expect(text.match(/id-token: write/g)).toHaveLength(1);
  expect(text.match(/secrets\./g)).toHaveLength(1);
  const publish = text.slice(text.indexOf('\n  publish:'));
  expect(publish).toMatch(/id-token: write[\s\S]*npm publish .*--provenance[\s\S]*secrets\.NPM_TOKEN/);
});

test('nothing is published that release:check has not passed', () => {
  const jobs = new Map(
    (workflows.find(([name]) => name === 'release.yml')?.[1] ?? '').split(/\n(?= {2}[\w-]+:\n)/).map((part) => [part.trim().split(':')[0], part]),
  );
  const before = (name: string): string[] => {
    const listed = /^ {4}needs: \[?([\w, -]+)\]?$/m.exec(jobs.get(name) ?? '')?.[1]?.split(', ') ?? [];
    return listed.flatMap((job) => [job, ...before(job)]);
  };
  expect(before('publish').filter((name) => /^ {6}- run: npm run release:check$/m.test(jobs.get(name) ?? ''))).toContain('linux');
});

test('a self-hosted runner never runs a pull request', () => {
  for (const [name, text] of workflows) {
    for (const job of text.split(/\n(?= {2}[\w-]+:\n)/).filter((part) => part.includes('self-hosted'))) {
      expect(job).toMatch(/if: vars\.METAL_RUNNER == 'true'/);
      if (name === 'ci.yml') expect(job).toMatch(/github\.event_name == 'push'/);
    }
  }
});
