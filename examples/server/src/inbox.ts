import type { Piece } from './jobs.js';

/** Pieces of one utterance that have come and were not yet asked for. */
export class Inbox {
  readonly #pieces: Uint8Array[] = [];
  #received = 0;
  #ended = false;
  #error: unknown = null;
  #wake: (() => void) | null = null;

  /** Takes a piece. What was received before, from a worker that died since, is left out. */
  take({ kind, at, data }: Piece): void {
    if (kind === 'error') this.fail(new Error(data.toString()));
    else if (kind === 'end') this.#ended = true;
    else if (at > this.#received) this.fail(new Error(`samples ${this.#received} to ${at} were lost`));
    else if (at + data.length > this.#received) {
      this.#pieces.push(data.subarray(this.#received - at));
      this.#received = at + data.length;
    }
    this.#notify();
  }

  fail(error: unknown): void {
    this.#error ??= error;
    this.#notify();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void> {
    for (;;) {
      const piece = this.#pieces.shift();
      if (piece) yield piece;
      else if (this.#error) throw this.#error;
      else if (this.#ended) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  #notify(): void {
    this.#wake?.();
    this.#wake = null;
  }
}
