import type { Device } from '../../device.js';
import { loadInto, type Peer, type PeerSubject } from './peers.js';
import { operationsOf } from './reference.js';
import type { Case, Comparison, Identity, Row, Variant } from './report.js';
import { interleave, pairwise, type Schedule, summarize, type Timing } from './statistics.js';
import { type Subject, Workload } from './subjects.js';

/** Relative distances that a correct float32 result stays within; a GPU peer may sum in another order and precision. */
const tolerance = { own: 1e-5, peer: 1e-3 };

interface Entry {
  identity: Identity;
  subject: Subject | PeerSubject;
  row: Row;
}

/** Checks every way to compute a case against the reference, then times those that are right, and pairs them. */
export async function measure(item: Case, device: Device, threads: number, peers: readonly Peer[], schedule: Schedule): Promise<Row[]> {
  const workload = new Workload(item, device);
  const loaded: PeerSubject[] = [];
  try {
    const own = await workload.prepare();
    const entries = own.map((subject): Entry => {
      const identity = { by: 'weightnorm', variant: subject.variant, device: device.info.type };
      return { identity, subject, row: emptyRow(item, identity, threads, device.info.simulated) };
    });
    for (const peer of peers) {
      for (const { subject, failed } of await loadInto(peer, item, workload)) {
        if (failed === undefined) loaded.push(subject);
        const identity = { by: peer.name, variant: subject.variant, device: peer.device };
        entries.push({ identity, subject, row: { ...emptyRow(item, identity, threads, false), ...(failed !== undefined && { failed }) } });
      }
    }
    for (const entry of entries) if (entry.row.failed === undefined) await check(entry, workload);
    const checked = entries.filter(({ row }) => row.failed === undefined);
    const timings = await interleave(
      checked.map(({ subject }) => subject),
      schedule,
    );
    for (const { subject, row } of checked) {
      const failed = timings.get(subject)?.failed;
      if (failed !== undefined) row.failed = failed;
    }
    const right = checked.filter(({ row }) => row.failed === undefined);
    for (const { subject, row } of right) {
      const { seconds, repeats } = timings.get(subject) as Timing;
      row.milliseconds = summarize(seconds.map((value) => value * 1000));
      row.repeats = repeats;
      const rate = rateOf(item, row.variant, row.milliseconds.median);
      if (rate) row.rate = rate;
      if (row.by !== 'weightnorm') continue;
      row.comparisons = right
        .filter((other) => other.subject !== subject && comparable(row, other.identity, right))
        .map((other): Comparison => ({ to: other.identity, speedUp: pairwise(seconds, timings.get(other.subject)?.seconds as number[]) }));
    }
    return entries.map(({ row }) => row);
  } finally {
    for (const subject of loaded) await subject.dispose().catch(() => {});
    workload.dispose();
  }
}

function emptyRow({ suite, name, family, weight, x }: Case, identity: Identity, threads: number, simulated: boolean): Row {
  return { suite, case: name, family, weight, x, ...identity, threads, simulated, comparisons: [] };
}

async function check({ subject, row, identity }: Entry, workload: Workload): Promise<void> {
  try {
    row.error = workload.error(subject.variant, await subject.output());
    const allowed = identity.by === 'weightnorm' ? tolerance.own : tolerance.peer;
    if (!(row.error <= allowed)) row.failed = `its result is ${row.error.toExponential(2)} from the reference; ${allowed} is allowed`;
  } catch (error) {
    row.failed = (error as Error).message;
  }
}

/** What a row of ours is held against: its folded (or copying) sibling, and each peer's same variant, or its folded one where it has no live one. */
function comparable(own: Identity, other: Identity, all: readonly Entry[]): boolean {
  const siblings: Partial<Record<Variant, Variant>> = {
    live: 'folded',
    direct: 'folded',
    op: 'copy',
    written: all.some(({ identity }) => identity.variant === 'once') ? 'once' : 'folded',
  };
  if (other.by === 'weightnorm') return siblings[own.variant] === other.variant;
  if (own.variant === other.variant) return true;
  const hasLive = all.some(({ identity }) => identity.by === other.by && identity.variant === 'live');
  return other.variant === 'folded' && (own.variant === 'direct' || (own.variant === 'live' && !hasLive));
}

function rateOf(item: Case, variant: Variant, milliseconds: number): Row['rate'] | undefined {
  if (item.suite === 'layers') return { value: operationsOf(item) / milliseconds / 1e6, unit: 'GFLOP/s' };
  if (item.suite !== 'ops') return undefined;
  // Least traffic: each operand once, each result once.
  const passes = { op: 2, copy: 2, norm: 1, backward: 3 }[variant as 'op'];
  return { value: (passes * 4 * item.weight.reduce((a, b) => a * b, 1)) / milliseconds / 1e6, unit: 'GB/s' };
}
