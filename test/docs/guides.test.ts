import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const root = path.resolve(__dirname, '..', '..');
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');
const list = (folder: string): string[] =>
  readdirSync(path.join(root, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `${folder}/${name}`);

const guides = list('docs/guides');
const pages = [
  ...list('docs'),
  ...guides,
  ...readdirSync(path.join(root, 'examples'))
    .map((name) => `examples/${name}/README.md`)
    .filter((file) => existsSync(path.join(root, file))),
];
/** Excerpts begin with the file that they are of, programs do not. */
const blocks = (guide: string): string[] => [...read(guide).matchAll(/```ts\n([\s\S]*?)```/g)].map(([, body]) => body as string);
const source = /^\/\/ (examples\/\S+)\n/;

/** GitHub's name of a heading. */
const anchor = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replace(/\s/g, '-');

describe.each(pages)('%s', (page) => {
  test('links lead somewhere', () => {
    const links = [...read(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target as string).filter((target) => !/^https?:/.test(target));
    const broken = links.filter((link) => {
      const [file, heading] = link.split('#') as [string, string | undefined];
      const target = file === '' ? path.join(root, page) : path.resolve(root, path.dirname(page), file);
      if (!existsSync(target)) return true;
      return heading !== undefined && ![...readFileSync(target, 'utf8').matchAll(/^#+ (.*)$/gm)].some(([, text]) => anchor(text as string) === heading);
    });
    expect(broken).toEqual([]);
  });

  test('specs that are named exist under that name', () => {
    const named = [...read(page).matchAll(/\]\((?:\.\.\/)*(test\/[\w/.-]+\.test\.ts)\)((?:,?\s*"[^"]+")*)/g)];
    const missing = named.flatMap(([, file, titles]) => {
      const spec = read(file as string);
      return [...(titles as string).matchAll(/"([^"]+)"/g)].map(([, title]) => title as string).filter((title) => !spec.includes(title));
    });
    expect(missing).toEqual([]);
  });
});

test('the index names every document', () => {
  const index = read('docs/README.md');
  const documents = [...list('docs'), ...guides].map((file) => file.slice('docs/'.length)).filter((file) => file !== 'README.md');
  expect(documents.filter((file) => !index.includes(`](${file})`))).toEqual([]);
});

describe.each(guides)('the snippets of %s', (guide) => {
  test('that are excerpts stand in their file', () => {
    const flat = (text: string): string => text.replace(/\s+/g, ' ').trim();
    const excerpts = blocks(guide).filter((block) => source.test(block));
    const strange = excerpts.filter((block) => {
      const [header, file] = source.exec(block) as unknown as [string, string];
      return !flat(read(file)).includes(flat(block.slice(header.length)));
    });
    expect(strange).toEqual([]);
  });

  test('run as one program, and print what they say', () => {
    const program = blocks(guide)
      .filter((block) => !source.test(block))
      .join('\n');
    if (program === '') return;
    const expected = [...program.matchAll(/console\.log\(.*\);\s*\/\/ (.*)$/gm)].flatMap(([, text]) => (text as string).split(' | '));
    const folder = mkdtempSync(path.join(tmpdir(), 'weightnorm-guide-'));
    try {
      mkdirSync(path.join(folder, 'node_modules'));
      symlinkSync(root, path.join(folder, 'node_modules', 'weightnorm'));
      symlinkSync(path.join(root, 'examples'), path.join(folder, 'examples'));
      symlinkSync(path.join(root, 'test', 'golden', 'torch', 'vocoder'), path.join(folder, 'model'));
      writeFileSync(path.join(folder, 'guide.mjs'), program);
      const out = execFileSync(process.execPath, ['guide.mjs'], { cwd: folder, env: { ...process.env, WEIGHTNORM_ADDON: '' }, encoding: 'utf8' });
      expect(out.trim().split('\n')).toEqual(expected);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  const commands = [...read(guide).matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, body]) => (body as string).trim().split('\n'));
  test('that are commands of the program run', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'weightnorm-guide-'));
    try {
      symlinkSync(path.join(root, 'examples'), path.join(folder, 'examples'));
      symlinkSync(path.join(root, 'test', 'golden', 'torch', 'vocoder'), path.join(folder, 'model'));
      for (const command of commands.filter((line) => /^npx weightnorm (synth|inspect|convert|fold) /.test(line))) {
        const line = command.replace('npx weightnorm', `"${process.execPath}" "${path.join(root, 'dist', 'cli', 'main.js')}"`);
        const out = execFileSync('sh', ['-c', line], { cwd: folder, env: { ...process.env, WEIGHTNORM_ADDON: '' }, encoding: 'utf8' });
        expect([command, out.length > 0]).toEqual([command, true]);
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
