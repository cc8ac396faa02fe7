import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** Where the package keeps what a build needs besides its sources: binding.gyp and the headers of two npm packages. */
const kept = path.join('dist', 'sources');

/**
 * Copies the sources of the add-on from the package at `root` into `folder`, laid out for node-gyp, so that neither spaces in
 * the package's path nor its permissions matter. Returns the folder to be given as --nodedir: nothing is downloaded.
 */
export function stageSources(root: string, folder: string): string {
  const copy = (from: string, to = from) => cpSync(path.join(root, from), path.join(folder, to), { recursive: true, dereference: true });
  for (const entry of ['native', 'sources.json', path.join('scripts', 'embed-kernels.mjs')]) copy(entry);
  copy(path.join(kept, 'binding.gyp'), 'binding.gyp');
  copy(path.join(kept, 'node-addon-api'), path.join('node_modules', 'node-addon-api'));
  const include = path.join('node', 'include', 'node');
  mkdirSync(path.join(folder, include), { recursive: true });
  copy(path.join(kept, 'node-api'), include);
  writeFileSync(path.join(folder, 'package.json'), '{ "name": "weightnorm", "private": true }\n');
  return path.join(folder, 'node');
}
