import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { audio } from 'weightnorm';

const root = path.resolve(__dirname, '..', '..');
const readme = readFileSync(path.join(root, 'README.md'), 'utf8');
const blocks = (language: string): string[] => [...readme.matchAll(new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``, 'g'))].map(([, body]) => body as string);
const commands = blocks('sh').flatMap((block) => block.trim().split('\n'));

// The build that users have, also while other specs run on the software Metal.
const env = { ...process.env, WEIGHTNORM_ADDON: '' };

describe('README', () => {
  let folder: string;

  // A project that has the package installed, with the voice beside it.
  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'weightnorm-readme-'));
    mkdirSync(path.join(folder, 'node_modules', '.bin'), { recursive: true });
    symlinkSync(root, path.join(folder, 'node_modules', 'weightnorm'));
    symlinkSync(path.join(root, 'dist', 'cli', 'main.js'), path.join(folder, 'node_modules', '.bin', 'weightnorm'));
    symlinkSync(path.join(root, 'examples'), path.join(folder, 'examples'));
    writeFileSync(path.join(folder, 'package.json'), '{ "private": true }');
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  // `git clone` names a placeholder; `npm test` is the run this spec belongs to.
  const elsewhere = ['git clone <this repository> weightnorm && cd weightnorm', 'npm test'];

  test.each(commands.filter((command) => command.startsWith('npx ')))('%s', (command) => {
    const out = execFileSync('sh', ['-c', command], { cwd: folder, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    expect(out.length).toBeGreaterThan(0);
    if (command.includes('--json')) expect(JSON.parse(out)).toMatchObject({ output: expect.stringMatching(/out\.wav$/), sampleRate: 16000 });
  });

  test('npm start', () => {
    const out = execFileSync('npm', ['start', '--silent'], { cwd: root, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    expect(out).toMatch(/times real time/);
    expect(out).toMatch(/mean log-mel/);
  });

  test('has no command that no test runs', () => {
    expect(commands.filter((command) => !command.startsWith('npx ') && command !== 'npm start' && !elsewhere.includes(command))).toEqual([]);
    expect(commands).toEqual(expect.arrayContaining(['npm start', 'npm test']));
  });

  test('the example runs as it stands', async () => {
    const [example] = blocks('ts');
    writeFileSync(path.join(folder, 'example.mts.mjs'), example as string);
    const out = execFileSync(process.execPath, ['example.mts.mjs'], { cwd: folder, env, encoding: 'utf8' });
    expect(out.trim()).toBe('[ 1, 16, 100 ] 1600');
    expect((await audio.readWav(path.join(folder, 'out.wav'))).channels[0]?.length).toBeGreaterThan(16000);
    expect(existsSync(path.join(folder, 'plain.safetensors'))).toBe(true);
  });

  test('links lead somewhere', () => {
    const links = [...readme.matchAll(/\]\(([^)#]+)\)/g)].map(([, target]) => target as string).filter((target) => !target.startsWith('http'));
    expect(links.filter((link) => !existsSync(path.join(root, link)))).toEqual([]);
  });
});
