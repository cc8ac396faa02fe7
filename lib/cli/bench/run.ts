import { availableParallelism } from 'node:os';
import { Device, type DeviceType } from '../../device.js';
import type { Invocation } from '../command.js';
import { version } from '../version.js';
import { casesOf } from './cases.js';
import { describeMachine } from './machine.js';
import { measure } from './measure.js';
import { nodeFigures } from './node.js';
import { Peer, type PeerName } from './peers.js';
import { type BenchReport, type Case, published, type Size } from './report.js';

export const suites = ['ops', 'layers', 'vocoder', 'node'] as const;
export type Suite = (typeof suites)[number];

/** What is measured, and how. */
export interface BenchOptions {
  suites: Suite[];
  size: Size;
  rounds: number;
  /** Empty: as many as the machine has performance cores. */
  threads: number[];
  device: DeviceType | undefined;
  against: PeerName[];
  /** Part of a case's name. */
  filter: string;
  /** The program that runs the Python peers. */
  python: string;
}

/** This run, as typed. */
export const commandLine = (): string => ['weightnorm', ...process.argv.slice(2)].join(' ');

/** Measures in this process. Peers that cannot start are named in the report and left out. */
export async function measureAll(options: BenchOptions, { signal, progress }: Pick<Invocation, 'signal' | 'progress'>): Promise<BenchReport> {
  const given = options.threads[0];
  // Before the pool starts, which reads it once.
  if (given !== undefined) process.env.WEIGHTNORM_NUM_THREADS = String(given);
  const threads = given ?? (Number(process.env.WEIGHTNORM_NUM_THREADS) || availableParallelism());
  const machine = describeMachine();
  const devices = options.device ? [Device.get(options.device)] : machine.devices.filter(({ simulated }) => !simulated).map(({ type }) => Device.get(type));
  const report: BenchReport = {
    format: 1,
    version: version(),
    command: commandLine(),
    date: new Date().toISOString(),
    machine,
    settings: { size: options.size, rounds: options.rounds, threads: [threads] },
    peers: [],
    rows: [],
    figures: [],
    published,
  };
  const peers: Peer[] = [];
  try {
    for (const name of options.against) {
      try {
        const peer = await Peer.start(name, threads, options.python);
        peers.push(peer);
        report.peers.push({ name, version: peer.version, device: peer.device });
      } catch (error) {
        report.peers.push({ name, missing: (error as Error).message });
      }
    }
    const cases = options.suites
      .flatMap((suite): Case[] => (suite === 'node' ? [] : casesOf(suite, options.size)))
      .filter(({ name }) => name.includes(options.filter));
    const schedule = { rounds: options.rounds, leastSeconds: options.size === 'smallest' ? 0 : 0.005, signal };
    for (const [i, item] of cases.entries()) {
      for (const device of devices) {
        const onRound = (fraction: number): void => progress.update(item.name, (i + fraction) / cases.length);
        report.rows.push(...(await measure(item, device, threads, peers, { ...schedule, onRound })));
      }
    }
    if (options.suites.includes('node')) {
      for (const device of devices) report.figures.push(...(await nodeFigures(device, options.size, (label) => progress.update(label, 0.5))));
    }
    return report;
  } finally {
    for (const peer of peers) peer.close();
  }
}
