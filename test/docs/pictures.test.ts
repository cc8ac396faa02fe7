import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { inflateSync } from 'node:zlib';

const root = path.resolve(__dirname, '..', '..');

/** The text of a drawing without its images, and the bytes of their pixels. */
function parts(svg: string): { text: string; pixels: Buffer[] } {
  const image = /data:image\/png;base64,([^"]+)/g;
  const pixels = [...svg.matchAll(image)].map(([, data]) => {
    const png = Buffer.from(data as string, 'base64');
    const start = png.indexOf('IDAT');
    return inflateSync(png.subarray(start + 4, start + 4 + png.readUInt32BE(start - 4)));
  });
  return { text: svg.replace(image, ''), pixels };
}

test('the spectrograms are those that npm run docs:pictures draws', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'weightnorm-pictures-'));
  try {
    execFileSync(process.execPath, ['scripts/pictures.mjs', folder], { cwd: root, env: { ...process.env, WEIGHTNORM_ADDON: '' }, stdio: 'ignore' });
    const drawn = parts(readFileSync(path.join(folder, 'spectrograms.svg'), 'utf8'));
    const kept = parts(readFileSync(path.join(root, 'docs', 'pictures', 'spectrograms.svg'), 'utf8'));
    expect(drawn.text).toBe(kept.text);
    expect(drawn.pixels.length).toBe(2);
    // Other instruction sets may round a level the other way.
    drawn.pixels.forEach((pixels, i) => {
      const expected = kept.pixels[i] as Buffer;
      expect(pixels.length).toBe(expected.length);
      expect(Math.max(...pixels.map((level, at) => Math.abs(level - (expected[at] as number))))).toBeLessThanOrEqual(1);
    });
    expect(new Set(drawn.pixels[0]).size).toBeGreaterThan(200);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('the picture of the look-ahead is the one that the layers give', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'weightnorm-pictures-'));
  try {
    execFileSync(process.execPath, ['scripts/picture-lookahead.mjs', folder], { cwd: root, env: { ...process.env, WEIGHTNORM_ADDON: '' }, stdio: 'ignore' });
    const [drawn, kept] = [folder, path.join(root, 'docs', 'pictures')].map((at) => readFileSync(path.join(at, 'look-ahead.svg'), 'utf8'));
    expect(drawn).toBe(kept);
    expect(kept).toMatch(/look-ahead 12\.73 frames: 13 whole ones/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
