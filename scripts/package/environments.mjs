// Releases of Node, worker threads and clusters.
import { cpSync } from 'node:fs';
import path from 'node:path';
import { root } from '../run.mjs';
import { installTools } from '../tools/install.mjs';
import { capture, complaint, expect } from './checks.mjs';

export const program = (name) => path.join(root, 'scripts', 'package', 'programs', name);

/** Runs the exercise in a project with one Node; throws where a value differs from what it has to be. Returns what it printed. */
export function exercise(project, command, { frames = 40, env = {}, reference } = {}) {
  cpSync(program('exercise.cjs'), path.join(project, 'exercise.cjs'));
  const [file, ...args] = command;
  const result = JSON.parse(capture(file, [...args, 'exercise.cjs', String(frames)], { cwd: project, env: { ...process.env, ...env } }));
  const near = (a, b, tolerance) => Math.abs(a - b) <= tolerance * Math.abs(b);
  const weights = [3, 4, Math.fround(0.6), Math.fround(0.8)];
  for (const values of [result.weights, result.fromWorker]) expect(String(values) === String(weights), result);
  expect(result.code === 'ERR_SHAPE' && result.samples > 0 && result.energy > 0, result);
  // Processors differ in the order of sums, and only in that.
  if (reference)
    expect(result.samples === reference.samples && near(result.energy, reference.energy, 1e-4) && near(result.half, reference.half, 1e-6), {
      result,
      reference,
    });
  return result;
}

export async function checkEnvironments({ checks, project }) {
  const nodes = installTools('nodes-x64');
  const reference = exercise(project, [process.execPath]);
  for (const release of ['node20', 'node22', 'node24']) {
    const node = path.join(nodes, release, 'bin', 'node');
    await checks.check(`${release}: layers, a vocoder, errors, a worker`, () => {
      const result = exercise(project, [node], { reference });
      expect(result.node.startsWith(`${release.slice(4)}.`) && /prebuilds/.test(result.loaded), result);
      for (const file of ['use.mjs', 'use.cjs']) capture(node, [file], { cwd: project });
    });
    for (const [name, printed] of Object.entries({ pool: '8 workers', cluster: '3 processes' })) {
      await checks.check(`${release}: ${printed}${name === 'pool' ? ', four terminated half-way' : ' of a cluster'}`, () => {
        cpSync(program(`${name}.cjs`), path.join(project, `${name}.cjs`));
        const out = capture(node, [`${name}.cjs`], { cwd: project, timeout: 300_000 });
        expect(out === printed, out);
      });
    }
  }
  await checks.check('node18 is told that it is too old', () => {
    const said = complaint(path.join(nodes, 'node18', 'bin', 'node'), ['use.cjs'], { cwd: project });
    expect(/ERR_ADDON/.test(said) && /needs Node 20 or later, and this is Node 18/.test(said), said);
  });
}
