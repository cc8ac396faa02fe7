import { readFileSync } from 'node:fs';
import path from 'node:path';

/** The package's version. */
export function version(): string {
  const manifest = readFileSync(path.resolve(__dirname, '..', '..', 'package.json'), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}
