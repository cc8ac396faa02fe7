import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { runCli } from '../support/cli';

const python = ['python3', '/usr/bin/python3'].find((program) => spawnSync(program, ['--version']).status === 0);
const torch = ['python3', '/usr/bin/python3'].find((program) => spawnSync(program, ['-c', 'import torch']).status === 0);
const onnxruntime = [process.cwd(), path.resolve('build/peers')].some((folder) => {
  try {
    return existsSync(createRequire(path.join(folder, 'package.json')).resolve('onnxruntime-node'));
  } catch {
    return false;
  }
});

interface Row {
  by: string;
  suite: string;
  failed?: string;
  error: number;
  variant: string;
  comparisons: { to: { by: string; variant: string } }[];
}

async function rowsAgainst(name: string): Promise<Row[]> {
  const { code, stdout, stderr } = await runCli([
    'bench',
    '--size',
    'smallest',
    '--rounds',
    '1',
    '--device',
    'cpu',
    '--threads',
    '1',
    '--json',
    '--against',
    name,
    '--python',
    torch ?? 'python3',
  ]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout).rows;
}

test('the Python scripts compile', () => {
  if (!python) return;
  const compile = 'import sys; [compile(open(f, encoding="utf8").read(), f, "exec") for f in sys.argv[1:]]';
  expect(spawnSync(python, ['-c', compile, 'bench/peers/pytorch.py', 'bench/peers/mlx.py']).stderr.toString()).toBe('');
});

// Neither is installed by the project; where they are, their results agree with ours.
(torch ? test : test.skip)('PyTorch computes what we compute', async () => {
  const rows = (await rowsAgainst('pytorch')).filter(({ by }) => by === 'pytorch');
  expect(new Set(rows.map(({ suite, variant }) => `${suite} ${variant}`))).toEqual(
    new Set(['ops op', 'ops backward', 'layers live', 'layers folded', 'vocoder live', 'vocoder folded']),
  );
  for (const { failed, error } of rows) expect([failed, error < 1e-5]).toEqual([undefined, true]);
});

(onnxruntime ? test : test.skip)('onnxruntime computes what we compute, and stands beside live, folded and direct', async () => {
  const rows = await rowsAgainst('onnxruntime');
  for (const { by, failed, error } of rows) if (by === 'onnxruntime') expect([failed, error < 1e-5]).toEqual([undefined, true]);
  const beside = rows.flatMap((row) =>
    row.comparisons.filter(({ to }) => to.by === 'onnxruntime').map(({ to }) => `${row.suite} ${row.variant} ${to.variant}`),
  );
  const vocoders = ['live', 'folded', 'direct'].map((variant) => `vocoder ${variant} folded`);
  expect(new Set(beside)).toEqual(new Set(['ops op op', 'layers live folded', 'layers folded folded', ...vocoders]));
});
