import type { audio } from 'weightnorm';

/** What synthesises: this process, or workers behind Redis. */
export interface Backend {
  /** Seconds after which a caller should try again, if no more can be taken now; null if it can. */
  retryAfter(): Promise<number | null>;
  /**
   * Pieces of 16-bit samples, in order, as they are made. Throws {@link Refused} (429) when the queue is full; ends with an error as
   * soon as the signal aborts.
   */
  synthesize(mel: audio.Mel, signal: AbortSignal): AsyncGenerator<Uint8Array, void, void>;
  /** Requests that wait, and that are being synthesised. */
  load(): Promise<{ waiting: number; active: number }>;
  /** Throws if nothing can be synthesised. */
  check(): Promise<void>;
  close(): Promise<void>;
}

/** How long an utterance takes, as of late, to tell callers when to come back. */
export class ServiceTime {
  #seconds = 1;

  record(seconds: number): void {
    this.#seconds += (seconds - this.#seconds) * 0.1;
  }

  /** Whole seconds until one more of `waiting` is likely to have room. */
  until(waiting: number, places: number): number {
    return Math.max(1, Math.min(60, Math.ceil((this.#seconds * (waiting + 1)) / Math.max(1, places))));
  }
}
