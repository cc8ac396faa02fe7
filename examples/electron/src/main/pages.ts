import { readFile } from 'node:fs/promises';
import path from 'node:path';

export const scheme = 'app';
export const origin = `${scheme}://weightnorm`;

/** Scripts and styles from this app only; no connections, no frames, nothing inline. */
export const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const root = path.resolve(__dirname, '..', '..');
/** Every file that the page may load. */
const files: Readonly<Record<string, [type: string, ...file: string[]]>> = {
  '/': ['text/html', 'src', 'renderer', 'index.html'],
  '/style.css': ['text/css', 'src', 'renderer', 'style.css'],
  '/app.js': ['text/javascript', 'dist', 'renderer', 'app.js'],
  '/card.js': ['text/javascript', 'dist', 'renderer', 'card.js'],
  '/colours.js': ['text/javascript', 'dist', 'renderer', 'colours.js'],
  '/player.js': ['text/javascript', 'dist', 'renderer', 'player.js'],
};

/** Answers a request for a part of the page. */
export async function servePage(request: Request): Promise<Response> {
  const file = files[new URL(request.url).pathname];
  if (!file) return new Response('not found', { status: 404 });
  const [type, ...parts] = file;
  return new Response(await readFile(path.join(root, ...parts)), {
    headers: {
      'content-type': `${type}; charset=utf-8`,
      'content-security-policy': contentSecurityPolicy,
      'x-content-type-options': 'nosniff',
    },
  });
}
