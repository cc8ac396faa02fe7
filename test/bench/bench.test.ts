import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { runCli } from '../support/cli';
import { devices } from '../support/devices';

const folder = mkdtempSync(path.join(tmpdir(), 'weightnorm-bench-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const positive = (value: unknown): boolean => typeof value === 'number' && Number.isFinite(value) && value > 0;
const summary = { median: expect.any(Number), low: expect.any(Number), high: expect.any(Number), best: expect.any(Number), samples: 2 };

interface Row {
  case: string;
  by: string;
  variant: string;
  family: string;
  device: string;
  threads: number;
  simulated: boolean;
  milliseconds: { median: number; low: number; high: number; best: number };
  rate?: { value: number; unit: string };
  error: number;
  repeats: number;
  comparisons: { to: { by: string; variant: string }; speedUp: { median: number; low: number; high: number } }[];
}

async function bench(...args: string[]) {
  const { code, stdout, stderr } = await runCli(['bench', ...args, '--size', 'smallest', '--rounds', '2', '--json']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout);
}

const variants = {
  ops: ['op', 'copy', 'norm', 'backward'],
  layers: ['live', 'folded', 'written', 'once'],
  vocoder: ['live', 'folded', 'direct', 'written'],
} as const;
const families = { ops: ['Linear', 'Conv1d', 'Conv2d'], layers: ['Linear', 'Conv1d', 'Conv2d'], vocoder: ['HiFi-GAN'] } as const;
const siblings = {
  ops: [['op', 'copy']],
  layers: [
    ['live', 'folded'],
    ['written', 'once'],
  ],
  vocoder: [
    ['live', 'folded'],
    ['direct', 'folded'],
    ['written', 'folded'],
  ],
} as const;

describe.each(devices)('weightnorm bench on %s', (_label, device) => {
  const { type } = device.info;

  test.each(['ops', 'layers', 'vocoder'] as const)('%s: every variant of every family is right, timed and paired', async (suite) => {
    const report = await bench(suite, '--device', type);
    expect(report).toMatchObject({ format: 1, settings: { size: 'smallest', rounds: 2 }, peers: [], figures: [] });
    expect(report.machine).toMatchObject({ cpu: expect.any(String), cores: expect.any(Number), node: process.versions.node });
    expect(Number.isNaN(Date.parse(report.date))).toBe(false);
    const rows = report.rows as Row[];
    expect(new Set(rows.map((row) => `${row.family} ${row.variant}`))).toEqual(
      new Set(families[suite].flatMap((family) => variants[suite].map((variant) => `${family} ${variant}`))),
    );
    for (const row of rows) {
      expect(row).toMatchObject({ by: 'weightnorm', device: type, simulated: device.info.simulated, milliseconds: summary });
      const { median, low, high, best } = row.milliseconds;
      expect([best, low, median, high].every(positive) && best <= low && low <= median && median <= high).toBe(true);
      expect(row.error).toBeLessThan(1e-5);
      expect(row.repeats).toBeGreaterThanOrEqual(1);
      if (suite !== 'vocoder') expect(positive(row.rate?.value)).toBe(true);
    }
    const paired = rows.flatMap((row) => row.comparisons.map(({ to }) => `${row.case} ${row.variant} ${to.variant}`));
    const cases = [...new Set(rows.map((row) => row.case))];
    expect(new Set(paired)).toEqual(new Set(cases.flatMap((name) => siblings[suite].map(([a, b]) => `${name} ${a} ${b}`))));
    for (const { comparisons } of rows) for (const { speedUp } of comparisons) expect(positive(speedUp.median)).toBe(true);
  });

  test('node: every figure has a value, and those with a limit say whether they keep it', async () => {
    const { figures } = await bench('node', '--device', type);
    for (const name of [
      'call of add',
      'call of conv1d',
      'forward of WeightNormConv1d',
      'forward of a vocoder, each of its convolutions',
      'event-loop delay while two syntheses run, longest',
      'syntheses meanwhile',
    ]) {
      expect(figures).toContainEqual(expect.objectContaining({ name, device: type, value: expect.any(Number) }));
    }
    for (const { value, limit, within } of figures) {
      expect(Number.isFinite(value)).toBe(true);
      expect(within).toBe(limit === undefined ? undefined : value <= limit);
    }
    // What is no time at all can be required: forwards hold on to nothing.
    expect(figures.find(({ name }: { name: string }) => name.startsWith('tensor bytes gained'))).toMatchObject({ value: 0, limit: 0, within: true });
  });
});

describe('weightnorm bench', () => {
  test('several numbers of threads give a row each', async () => {
    const report = await bench('ops', '--device', 'cpu', '--threads', '1,2', '--filter', 'Conv1d');
    expect(report.settings.threads).toEqual([1, 2]);
    expect(report.rows.map((row: Row) => `${row.variant} ${row.threads}`)).toEqual(
      [1, 2].flatMap((threads) => variants.ops.map((variant) => `${variant} ${threads}`)),
    );
  });

  test('a baseline is compared case by case, and peers that are not installed are named', async () => {
    const report = await bench('ops', '--device', 'cpu', '--threads', '1', '--against', 'mlx', '--python', '/nowhere/python');
    expect(report.peers).toEqual([{ name: 'mlx', missing: expect.stringContaining('/nowhere/python') }]);
    const recorded = {
      ...report,
      rows: report.rows.map((row: Row) => ({
        ...row,
        by: 'pytorch',
        device: 'mps',
        milliseconds: { ...row.milliseconds, median: row.milliseconds.median * 2 },
      })),
    };
    const file = path.join(folder, 'baseline.json');
    writeFileSync(file, JSON.stringify(recorded));
    const { baseline, rows } = await bench('ops', '--device', 'cpu', '--threads', '1', '--baseline', file);
    expect(baseline.lines.map((line: { case: string; own: Row }) => `${line.case} ${line.own.variant}`)).toEqual(
      rows.map((row: Row) => `${row.case} ${row.variant}`),
    );
    for (const { own, recorded: theirs, speedUp } of baseline.lines) {
      expect(theirs).toMatchObject({ by: 'pytorch', device: 'mps' });
      expect(speedUp).toBeCloseTo(theirs.milliseconds / own.milliseconds, 10);
    }
    writeFileSync(file, '{}');
    const bad = await runCli(['bench', 'ops', '--size', 'smallest', '--baseline', file]);
    expect([bad.code, bad.stderr]).toEqual([1, `weightnorm: ${file}: is no report of weightnorm bench --json\n`]);
  });

  test('the text has a line a row, the published figures under their label, and plots on request', async () => {
    const plots = path.join(folder, 'plots');
    const { code, stdout } = await runCli(['bench', '--size', 'smallest', '--rounds', '2', '--device', 'cpu', '--plots', plots]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Conv1d 8×8×3 on 16 +live +cpu .* GFLOP\/s .*× the time of folded$/m);
    expect(stdout).toMatch(/^reference {2}published, not measured here: .*M3 Max/m);
    expect(readdirSync(plots).sort()).toEqual(['cost.svg', 'size.svg']);
    for (const name of readdirSync(plots)) expect(readFileSync(path.join(plots, name), 'utf8')).toMatch(/^<svg [\s\S]*<\/svg>\n$/);
  });

  test.each([
    [['flops'], /the suite is "flops"; it must be ops, layers, vocoder, node/],
    [['ops', '--size', 'huge'], /--size is "huge"; it must be smallest, default, all/],
    [['ops', '--against', 'pytorch,jax'], /--against is "jax"; it must be pytorch, mlx, onnxruntime/],
    [['ops', '--rounds', '0'], /--rounds is "0"; it must be an integer from 1 to 9999/],
    [['ops', 'layers'], /unexpected argument "layers"/],
  ])('%j is wrong usage', async (args, message) => {
    const { code, stderr } = await runCli(['bench', ...args]);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });
});
