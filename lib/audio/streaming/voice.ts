import type { StreamPlan } from '../../nn/streaming/plan.js';
import type { Tensor } from '../../tensor.js';
import { compact, type Place, type Tenant } from './slab.js';

/** A push or flush that waits for its samples. */
export interface Job {
  /** The frames [1, mels, frames], this job's; null at the end of the stream. */
  input: Tensor | null;
  frames: number;
  /** Frames already computed. */
  done: number;
  samples: Float32Array[];
  resolve(samples: Float32Array): void;
  reject(error: unknown): void;
}

/** One stream as its scheduler knows it. It holds no reference to what the user holds, so an abandoned one can be collected. */
export class Voice implements Tenant {
  readonly plan: StreamPlan;
  readonly jobs: Job[] = [];
  place: Place;
  /** Its next piece waits for the piece that is being computed. */
  busy = false;
  /** When the first job began to wait, in ms. */
  since = 0;
  #closed: unknown = null;
  #isClosed = false;

  constructor(plan: StreamPlan) {
    this.plan = plan;
    this.place = { layout: plan.initial, slab: null, row: 0 };
  }

  get closed(): boolean {
    return this.#isClosed;
  }

  /** Why it was closed. */
  get reason(): unknown {
    return this.#closed;
  }

  /** Frees the state and rejects what waits. Closing again does nothing. */
  close(reason: unknown): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#closed = reason;
    for (const job of this.jobs.splice(0)) {
      job.input?.dispose();
      job.reject(reason);
    }
    const { slab } = this.place;
    this.move({ layout: this.plan.initial, slab: null, row: 0 });
    if (slab) compact(slab);
  }

  /** Takes another place and gives up the one it had. */
  move(place: Place): void {
    const { slab } = this.place;
    this.place = place;
    place.slab?.tenants.add(this);
    slab?.tenants.delete(this);
    slab?.drop();
  }
}
