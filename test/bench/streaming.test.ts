import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';

const run = (args: string[]) => promisify(execFile)(process.execPath, ['bench/streaming.mjs', '--frames', '16', '--rounds', '1', '--seconds', '1', ...args]);

test('the report of streams has a row for each model and number of threads, of checked samples', async () => {
  const { stdout } = await run(['--model', 'voice', '--threads', '1,2', '--streams', '3', '--chunk', '8', '--json']);
  const report = JSON.parse(stdout);
  expect(report).toMatchObject({
    format: 1,
    kind: 'streaming',
    settings: { streams: 3, chunk: 8 },
    machine: { load: expect.any(Number), cores: expect.any(Number) },
  });
  expect(report.command).toMatch(/^npm run --silent bench -- streaming .*--threads 1,2/);
  expect(Date.parse(report.date)).toBeGreaterThan(0);
  expect(report.rows.map(({ model, threads }: { model: string; threads: number }) => [model, threads])).toEqual([
    ['voice', 1],
    ['voice', 2],
  ]);
  for (const row of report.rows) {
    expect(row.direct.maxAbsError).toBe(0);
    expect(row.auto.maxAbsError).toBeLessThan(1e-5);
    for (const { wallRatio, processorRatio, pushMs } of [row.auto, row.direct])
      for (const { median } of [wallRatio, processorRatio, pushMs]) expect(median).toBeGreaterThan(0);
    expect(row.memory.countedBytes).toBe(row.memory.stateBytes);
    expect(row.many.streams).toBe(3);
    expect(row.many.pieces).toBeGreaterThanOrEqual(3);
    expect(row.many.p99OfFairShare.worst).toBeGreaterThan(0.5);
    expect(row.aborted).toEqual({ streams: 1000, frames: 4, tensors: 0, bytes: 0 });
  }
}, 120_000);

test('what cannot be measured is said', async () => {
  await expect(run(['--model', 'v9'])).rejects.toThrow(/--model is v9; known are voice, v1, v3/);
  await expect(run(['--threads', '1,x'])).rejects.toThrow(/--threads is 1,x; it must be a whole number/);
});

test("the guide's table is that of the recorded reports", async () => {
  const files = ['voice', 'v1', 'v3'].map((model) => `bench/results/streaming-${model}.json`);
  const { stdout } = await run(['--table', ...files]);
  expect(stdout.split('\n').length).toBeGreaterThan(6);
  expect(readFileSync('docs/streaming.md', 'utf8')).toContain(stdout);
});
