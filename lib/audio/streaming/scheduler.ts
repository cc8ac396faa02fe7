import { integer } from '../../axes.js';
import { describe, fail, WeightNormError } from '../../errors.js';
import { type Computation, compute, nextPiece, type Piece } from './batch.js';
import type { Slab } from './slab.js';
import type { Job, Voice } from './voice.js';

export interface SchedulerOptions {
  /** Milliseconds for which a piece may wait for others that it can be computed with. Default 0: only what is ready is batched. */
  maxDelay?: number;
  /** Most streams in one forward. Default 16. */
  maxBatch?: number;
  /** Most frames of one stream in one forward: a longer push takes turns with the other streams. Default 64. */
  maxFrames?: number;
}

/** Forwards that are queued at once: the device has work while the samples of the one before are handed out. */
const mostForwards = 2;

/**
 * Computes the pieces of many streams: those of one model whose numbers agree in one forward, all others in turns. One is
 * made for each vocoder; make another to choose its bounds or to share it between vocoders.
 */
export class StreamScheduler {
  readonly maxDelay: number;
  readonly maxBatch: number;
  readonly maxFrames: number;
  readonly #ready: Voice[] = [];
  #forwards = 0;
  #wake: NodeJS.Immediate | null = null;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: SchedulerOptions = {}) {
    const { maxDelay = 0, maxBatch = 16, maxFrames = 64 } = options;
    if (typeof maxDelay !== 'number' || !(maxDelay >= 0 && maxDelay <= 60_000)) {
      fail('ERR_ARGUMENT', `maxDelay is ${describe(maxDelay)}; it must be a number of milliseconds from 0 to 60000`);
    }
    this.maxDelay = maxDelay;
    this.maxBatch = integer(maxBatch, 'maxBatch', 1);
    this.maxFrames = integer(maxFrames, 'maxFrames', 1);
  }

  /** @internal Adds a job to a voice. */
  submit(voice: Voice, job: Job): void {
    voice.jobs.push(job);
    if (voice.jobs.length === 1 && !voice.busy) this.#enqueue(voice);
  }

  #enqueue(voice: Voice): void {
    voice.since = performance.now();
    this.#ready.push(voice);
    this.#schedule();
  }

  /** After this turn of the event loop, so that all streams that push in it are seen. */
  #schedule(): void {
    this.#wake ??= setImmediate(() => {
      this.#wake = null;
      this.#dispatch();
    });
  }

  #dispatch(): void {
    while (this.#forwards < mostForwards) {
      const head = this.#next();
      if (!head) return;
      const piece = nextPiece(head, this.maxFrames);
      const batch = this.#companions(head, piece);
      const left = this.maxDelay - (performance.now() - head.since);
      if (batch.length < this.maxBatch && left > 0) {
        this.#timer ??= setTimeout(() => {
          this.#timer = null;
          this.#dispatch();
        }, left);
        return;
      }
      const chosen = new Set(batch);
      this.#ready.splice(0, this.#ready.length, ...this.#ready.filter((voice) => !chosen.has(voice)));
      if (!this.#run(batch, piece)) return;
    }
  }

  /** The voice that has waited longest; closed ones are forgotten. */
  #next(): Voice | null {
    while (this.#ready[0]?.closed) this.#ready.shift();
    return this.#ready[0] ?? null;
  }

  /** Voices whose next piece is computed by the same operations, those that were computed with `head` before the others. */
  #companions(head: Voice, piece: Piece): Voice[] {
    const agree = this.#ready.filter((voice) => {
      if (voice.closed || voice.plan !== head.plan || voice.place.layout.key !== head.place.layout.key) return false;
      const other = nextPiece(voice, this.maxFrames);
      return other.frames === piece.frames && other.ended === piece.ended;
    });
    const together = agree.filter(({ place }) => place.slab === head.place.slab);
    const chosen = [...together, ...agree.filter(({ place }) => place.slab !== head.place.slab)].slice(0, this.maxBatch);
    if (!chosen.includes(head)) chosen[chosen.length - 1] = head;
    const slabs = new Map<Slab | null, number>();
    for (const { place } of chosen) if (!slabs.has(place.slab)) slabs.set(place.slab, slabs.size);
    const order = ({ place }: Voice): number => slabs.get(place.slab) as number;
    return chosen.sort((a, b) => order(a) - order(b) || a.place.row - b.place.row);
  }

  /** Whether the next forward may be tried now. */
  #run(batch: readonly Voice[], piece: Piece): boolean {
    let work: Computation;
    try {
      work = compute(batch, piece);
    } catch (error) {
      return this.#refused(batch, error);
    }
    for (const voice of batch) voice.busy = true;
    this.#forwards++;
    const settle = (finish: () => void): void => {
      this.#forwards--;
      for (const voice of batch) voice.busy = false;
      finish();
      this.#schedule();
    };
    const { samples } = work;
    if (!samples) settle(() => this.#deliver(batch, piece, work, new Float32Array(0)));
    else {
      samples.then(
        (values) => settle(() => this.#deliver(batch, piece, work, values)),
        (error: unknown) => settle(() => this.#failed(batch, piece, work, error)),
      );
    }
    return true;
  }

  #deliver(batch: readonly Voice[], { frames, ended }: Piece, { places }: Computation, values: Float32Array): void {
    const count = values.length / batch.length;
    batch.forEach((voice, row) => {
      const place = places[row] as Computation['places'][number];
      if (voice.closed) {
        place.slab?.drop();
        return;
      }
      voice.move(place);
      const job = voice.jobs[0] as Job;
      job.done += frames;
      if (count > 0) job.samples.push(batch.length === 1 ? values : values.slice(row * count, (row + 1) * count));
      if (ended || job.done === job.frames) {
        voice.jobs.shift();
        job.input?.dispose();
        job.resolve(joined(job.samples));
      }
      if (voice.jobs.length > 0) this.#enqueue(voice);
    });
  }

  /** A forward failed on the device. Whose fault it was is found by computing each voice by itself, from where it was. */
  #failed(batch: readonly Voice[], piece: Piece, { places }: Computation, error: unknown): void {
    for (const { slab } of places) slab?.drop();
    const open = batch.filter((voice) => !voice.closed);
    if (batch.length > 1) for (const voice of open) this.#run([voice], piece);
    else for (const voice of open) voice.close(error);
  }

  /** A forward could not be queued. Where memory is short, it is tried again when the forwards before it are done. */
  #refused(batch: readonly Voice[], error: unknown): boolean {
    if (this.#forwards > 0 && error instanceof WeightNormError && error.code === 'ERR_MEMORY') {
      this.#ready.unshift(...batch);
      return false;
    }
    if (batch.length > 1) for (const voice of batch) this.#run([voice], nextPiece(voice, this.maxFrames));
    else for (const voice of batch) voice.close(error);
    return true;
  }
}

function joined(parts: readonly Float32Array[]): Float32Array {
  if (parts.length === 1) return parts[0] as Float32Array;
  const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
