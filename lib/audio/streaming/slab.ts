import { WeightNormError } from '../../errors.js';
import { cat, narrow } from '../../functional.js';
import type { StreamLayout, StreamPlan } from '../../nn/streaming/plan.js';
import { type Kept, release } from '../../nn/streaming/run.js';
import { untracked } from '../../scope.js';
import type { Tensor } from '../../tensor.js';
import { settled } from './settled.js';

/** What several streams keep, one row of each tensor a stream: those computed together stay together, without copies. */
export class Slab {
  readonly #kept: Kept;
  readonly rows: number;
  /** Those whose state is here. */
  readonly tenants = new Set<Tenant>();
  #live: number;

  constructor(kept: Kept, rows: number) {
    this.#kept = kept;
    this.rows = rows;
    this.#live = rows;
  }

  get kept(): Kept {
    return this.#kept;
  }

  /** Rows still in use. */
  get live(): number {
    return this.#live;
  }

  /** Bytes of all rows. */
  get bytes(): number {
    return this.#kept.reduce((sum, tensor) => sum + (tensor?.byteLength ?? 0), 0);
  }

  /** One row is no longer needed; the last one frees the tensors. */
  drop(): void {
    if (--this.#live === 0) release(this.#kept);
  }
}

/** Whose state a row is. */
export interface Tenant {
  readonly plan: StreamPlan;
  readonly place: Place;
  readonly busy: boolean;
  move(place: Place): void;
}

/** Where the state of one stream is. A stream that has been given nothing has none. */
export interface Place {
  readonly layout: StreamLayout;
  readonly slab: Slab | null;
  readonly row: number;
}

const compacting = new WeakSet<Slab>();

/**
 * Gives the rows in use tensors of their own when most are not: streams that wait must not hold on to what closed ones left. They move
 * when the copy is made; where it fails, or there is no memory for it, they stay where they are.
 */
export function compact(slab: Slab): void {
  const tenants = [...slab.tenants];
  if (compacting.has(slab) || slab.live === 0 || 2 * slab.live > slab.rows) return;
  if (tenants.length !== slab.live || tenants.some(({ busy }) => busy)) return;
  const places = tenants.map(({ place }) => place);
  const copy = queuedCopy(places);
  if (!copy) return;
  compacting.add(slab);
  const finish = (made: boolean): void => {
    compacting.delete(slab);
    if (made && tenants.every(({ busy, place }, row) => !busy && place === places[row])) {
      const smaller = new Slab(copy.kept, tenants.length);
      tenants.forEach((tenant, row) => tenant.move({ layout: (places[row] as Place).layout, slab: smaller, row }));
      return;
    }
    release(copy.kept);
    if (made) compact(slab);
  };
  copy.done.then(
    () => finish(true),
    () => finish(false),
  );
}

function queuedCopy(places: readonly Place[]): { kept: Kept; done: Promise<unknown> } | null {
  let kept: Kept = [];
  try {
    kept = untracked(() => gather(places)).kept;
    return { kept, done: settled(null, kept) ?? Promise.resolve() };
  } catch (error) {
    release(kept);
    if (!(error instanceof WeightNormError)) throw error;
    return null;
  }
}

/** The state of streams of one layout as rows in this order: the slab's own tensors where they are just that, else new ones. */
export function gather(places: readonly Place[]): { kept: Kept; ours: boolean } {
  const { slab } = places[0] as Place;
  if (!slab) return { kept: [], ours: false };
  if (slab.rows === places.length && places.every((place, i) => place.slab === slab && place.row === i)) return { kept: slab.kept, ours: false };
  const runs = runsOf(places);
  const made: (Tensor | null)[] = [];
  try {
    for (const [i, tensor] of slab.kept.entries()) made.push(tensor && joined(runs, i));
    return { kept: made, ours: true };
  } catch (error) {
    release(made);
    throw error;
  }
}

interface Run {
  slab: Slab;
  row: number;
  rows: number;
}

/** Neighbouring rows of one slab are taken in one piece. */
function runsOf(places: readonly Place[]): Run[] {
  const runs: Run[] = [];
  for (const { slab, row } of places) {
    const last = runs[runs.length - 1];
    if (last && last.slab === slab && last.row + last.rows === row) last.rows++;
    else runs.push({ slab: slab as Slab, row, rows: 1 });
  }
  return runs;
}

function joined(runs: readonly Run[], index: number): Tensor {
  const pieces: Tensor[] = [];
  try {
    const parts = runs.map(({ slab, row, rows }) => {
      const whole = slab.kept[index] as Tensor;
      if (rows === slab.rows) return whole;
      pieces.push(narrow(whole, 0, row, rows));
      return pieces[pieces.length - 1] as Tensor;
    });
    if (parts.length > 1) return cat(parts, 0);
    return pieces.pop() ?? (parts[0] as Tensor).clone();
  } finally {
    for (const piece of pieces) piece.dispose();
  }
}
