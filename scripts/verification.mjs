// Results of checks of the Metal backend, kept with the sources they were of: `weightnorm doctor` compares those with its build's.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { sourceHashes } from './embed-kernels.mjs';
import { root } from './run.mjs';

const file = path.join(root, 'docs', 'verification.json');

/** Keeps a result that passed, in place of the check's last one. `kernelsOnly`: the host's code does not matter to it. */
export function keep(check, figure, { kernelsOnly = false } = {}) {
  const { kernels, host } = sourceHashes();
  const others = JSON.parse(readFileSync(file, 'utf8')).filter((result) => result.check !== check);
  const results = [...others, { check, figure, kernels, ...(kernelsOnly ? {} : { host }) }].sort((a, b) => a.check.localeCompare(b.check));
  writeFileSync(file, `${JSON.stringify(results, undefined, 2)}\n`);
}
