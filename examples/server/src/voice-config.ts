import { readFile, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import type { audio } from 'weightnorm';

const packageRoot = path.dirname(createRequire(import.meta.url).resolve('weightnorm/package.json'));

/** The voice that was asked for, or the bundled one. */
export function voicePath(voice: string | null): string {
  return voice ?? path.join(packageRoot, 'examples', 'voice');
}

/** The front end of a voice, without loading its weights: for a server whose workers have them. */
export async function voiceConfig(voice: string | null): Promise<audio.MelConfig> {
  const given = voicePath(voice);
  const folder = (await stat(given)).isFile() ? path.dirname(given) : given;
  return JSON.parse(await readFile(path.join(folder, 'config.json'), 'utf8')) as audio.MelConfig;
}
