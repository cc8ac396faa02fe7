import type { audio } from 'weightnorm';
import { type Backend, ServiceTime } from './backend.js';
import type { Engine } from './engine.js';
import { aborted, queueFull } from './failures.js';
import type { Settings } from './settings.js';

/** A bounded queue in this process: so many utterances at once, so many waiting, first come, first served. */
export class LocalBackend implements Backend {
  readonly #engine: Engine;
  readonly #places: number;
  readonly #limit: number;
  readonly #waiting: (() => void)[] = [];
  readonly #times = new ServiceTime();
  #active = 0;

  constructor(engine: Engine, { concurrency, queueLimit }: Settings) {
    this.#engine = engine;
    this.#places = concurrency;
    this.#limit = queueLimit;
  }

  async retryAfter(): Promise<number | null> {
    return this.#full() ? this.#times.until(this.#waiting.length, this.#places) : null;
  }

  async *synthesize(mel: audio.Mel, signal: AbortSignal): AsyncGenerator<Uint8Array, void, void> {
    await this.#enter(signal);
    const started = performance.now();
    try {
      yield* this.#engine.synthesize(mel, signal);
      this.#times.record((performance.now() - started) / 1000);
    } catch (error) {
      throw signal.aborted ? aborted(signal) : error;
    } finally {
      this.#leave();
    }
  }

  async load(): Promise<{ waiting: number; active: number }> {
    return { waiting: this.#waiting.length, active: this.#active };
  }

  async check(): Promise<void> {
    await this.#engine.device.synchronize();
  }

  async close(): Promise<void> {
    this.#engine.dispose();
  }

  #full(): boolean {
    return this.#active >= this.#places && this.#waiting.length >= this.#limit;
  }

  async #enter(signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw aborted(signal);
    if (this.#full()) throw queueFull(this.#times.until(this.#waiting.length, this.#places));
    if (this.#active < this.#places) {
      this.#active++;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const gone = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        reject(aborted(signal));
      };
      const enter = (): void => {
        signal.removeEventListener('abort', gone);
        resolve();
      };
      signal.addEventListener('abort', gone, { once: true });
      this.#waiting.push(enter);
    });
  }

  /** A place that is given up goes to who waited longest. */
  #leave(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#active--;
  }
}
