import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe } from '../errors.js';
import { packageRoot } from '../native.js';
import { baselineLines, compareWithBaseline, loadBaseline } from './bench/baseline.js';
import { peerNames } from './bench/peers.js';
import { writePlots } from './bench/plots.js';
import type { BenchReport, Size } from './bench/report.js';
import { type BenchOptions, commandLine, measureAll, suites } from './bench/run.js';
import { figureTable, publishedLines, table } from './bench/table.js';
import { type Command, type Invocation, type Report, UsageError } from './command.js';

const sizes: readonly Size[] = ['smallest', 'default', 'all'];

export const bench: Command = {
  help: `Usage: weightnorm bench [suite] [options]

Measures this machine: checks every result, then times it beside what it is compared with, round after round, and
prints medians, spreads and the medians of the pairwise ratios.

Suites (default: ops, layers and vocoder):
  ops            weight norm alone, its backward, norm, and a copy of as many bytes, for weights of 2, 3 and 4 axes
  layers         Linear, Conv1d and Conv2d: live weight norm, folded, and after a write to g and v
  vocoder        HiFi-GAN: the bundled voice, V1 and V3
  node           what a call costs the main thread, event-loop delays, memory, start

Options:
  --against      other libraries to measure in the same rounds: pytorch,mlx,onnxruntime (those installed take part)
  --size         smallest, default or all
  --rounds       samples of each (default 15)
  --threads      compute threads, also the peers'; a list measures one after the other: 1,2
  --device       metal or cpu (default: every device there is; the software Metal only when named)
  --filter       only cases whose name contains this text
  --baseline     a report of an earlier --json run, here or elsewhere, to compare with
  --plots        folder for SVG plots
  --python       the Python of pytorch and mlx (default python3)`,
  positionals: ['[suite]'],
  options: {
    against: { type: 'string' },
    size: { type: 'string' },
    rounds: { type: 'string' },
    threads: { type: 'string' },
    device: { type: 'string' },
    filter: { type: 'string' },
    baseline: { type: 'string' },
    plots: { type: 'string' },
    python: { type: 'string' },
  },
  run,
};

async function run(invocation: Invocation): Promise<Report> {
  const { values } = invocation;
  const options = parse(invocation);
  const baseline = typeof values.baseline === 'string' ? await loadBaseline(values.baseline) : undefined;
  const report = options.threads.length > 1 ? await runEach(options.threads, invocation) : await measureAll(options, invocation);
  const compared = baseline && {
    file: values.baseline as string,
    date: baseline.date,
    machine: baseline.machine,
    lines: compareWithBaseline(report.rows, baseline),
  };
  const plots = typeof values.plots === 'string' ? await writePlots(values.plots, report) : [];
  const failed = report.rows.some((row) => row.by === 'weightnorm' && row.failed !== undefined);
  return {
    failed,
    json: { ...report, ...(compared && { baseline: compared }) },
    lines: [
      ...heading(report),
      ...suites.flatMap((suite) => {
        const rows = report.rows.filter((row) => row.suite === suite);
        return rows.length > 0 ? ['', ...table(rows)] : [];
      }),
      ...(report.figures.length > 0 ? ['', ...figureTable(report.figures)] : []),
      ...(compared ? ['', ...baselineLines(compared)] : []),
      ...(report.rows.length > 0 ? ['', ...publishedLines()] : []),
      ...plots.map((file) => `wrote      ${file}`),
    ],
  };
}

function parse({ positionals, values }: Invocation): BenchOptions {
  const oneOf = <T extends string>(name: string, value: unknown, allowed: readonly T[]): T => {
    if (!allowed.includes(value as T)) throw new UsageError(`${name} is ${describe(value)}; it must be ${allowed.join(', ')}`);
    return value as T;
  };
  const count = (name: string, text: string): number => {
    if (!/^[1-9]\d{0,3}$/.test(text)) throw new UsageError(`${name} is ${describe(text)}; it must be an integer from 1 to 9999`);
    return Number(text);
  };
  const list = (name: string): string[] => (typeof values[name] === 'string' ? (values[name] as string).split(',') : []);
  return {
    suites: positionals[0] === undefined ? ['ops', 'layers', 'vocoder'] : [oneOf('the suite', positionals[0], suites)],
    size: oneOf('--size', values.size ?? 'default', sizes),
    rounds: count('--rounds', (values.rounds as string | undefined) ?? '15'),
    threads: list('threads').map((text) => count('--threads', text)),
    device: values.device === undefined ? undefined : oneOf('--device', values.device, ['metal', 'cpu'] as const),
    against: list('against').map((name) => oneOf('--against', name, peerNames)),
    filter: (values.filter as string | undefined) ?? '',
    python: (values.python as string | undefined) ?? 'python3',
  };
}

/** One process a number of threads, since the pool of a process keeps its size. */
async function runEach(threads: readonly number[], { positionals, values, signal }: Invocation): Promise<BenchReport> {
  const reports: BenchReport[] = [];
  for (const count of threads) {
    const passed = ['against', 'size', 'rounds', 'device', 'filter', 'python'].flatMap((name) =>
      values[name] === undefined ? [] : [`--${name}`, String(values[name])],
    );
    const args = [path.join(packageRoot, 'dist', 'cli', 'main.js'), 'bench', ...positionals, ...passed, '--threads', String(count), '--json'];
    const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: 2 ** 28, signal }).catch((error) => {
      // A report with failed rows ends with status 1, too.
      if (typeof error.stdout === 'string' && error.stdout.startsWith('{"format"')) return error as { stdout: string };
      throw error;
    });
    reports.push(JSON.parse(stdout) as BenchReport);
  }
  const first = reports[0] as BenchReport;
  return {
    ...first,
    command: commandLine(),
    settings: { ...first.settings, threads: [...threads] },
    rows: reports.flatMap(({ rows }) => rows),
    figures: reports.flatMap(({ figures }) => figures),
  };
}

function heading({ machine, peers, settings, date }: BenchReport): string[] {
  const { cpu, cores, platform, arch, node, compiler, devices, load } = machine;
  return [
    `machine    ${cpu}, ${cores} cores, ${platform} ${arch}, Node ${node}, ${compiler}; ${date}`,
    ...devices.map(({ type, name, simulated }) => `${type.padEnd(11)}${name}${simulated ? ' (simulated: its times say nothing)' : ''}`),
    `settings   ${settings.size}, ${settings.rounds} rounds, threads ${settings.threads.join(', ')}`,
    ...(load > machine.cores / 2 ? [`load       ${load.toFixed(1)}: others were running on this machine, so expect noise`] : []),
    ...peers.map(
      ({ name, version: release, device, missing }) => `${name.padEnd(11)} ${missing === undefined ? `${release} on ${device}` : `left out: ${missing}`}`,
    ),
  ];
}
