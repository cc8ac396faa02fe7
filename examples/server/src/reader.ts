import { Worker } from 'node:worker_threads';
import type { audio } from 'weightnorm';
import { Refused } from './failures.js';
import type { ReadReply, ReadRequest } from './read-input.js';

/** Codes that are the caller's fault. */
const statuses: Readonly<Record<string, number>> = { ERR_FORMAT: 400, ERR_SHAPE: 400, ERR_ARGUMENT: 400, ERR_KEYS: 400, ERR_DTYPE: 400, ERR_TOO_LONG: 413 };

interface Waiting {
  resolve(mel: audio.Mel): void;
  reject(error: Error): void;
}

/** Turns request bodies into spectrograms on a thread of its own. A thread that dies fails what it was reading and is replaced. */
export class Reader {
  readonly #config: audio.MelConfig;
  readonly #maxSeconds: number;
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | null = null;
  #next = 0;

  constructor(config: audio.MelConfig, maxSeconds: number) {
    this.#config = config;
    this.#maxSeconds = maxSeconds;
  }

  /** The spectrogram of a WAV, .npy or safetensors body; throws {@link Refused} for anything else. */
  read(body: Uint8Array): Promise<audio.Mel> {
    const id = this.#next++;
    this.#worker ??= this.#start();
    const request: ReadRequest = { id, body, config: this.#config, maxSeconds: this.#maxSeconds };
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker?.postMessage(request);
    });
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
  }

  #start(): Worker {
    const worker = new Worker(new URL('./read-input.js', import.meta.url));
    worker.unref();
    worker.on('message', (reply: ReadReply) => {
      const waiting = this.#waiting.get(reply.id);
      this.#waiting.delete(reply.id);
      if ('mel' in reply) waiting?.resolve(reply.mel);
      else waiting?.reject(new Refused(statuses[reply.code] ?? 500, reply.code, reply.message));
    });
    const lost = (): void => {
      if (this.#worker === worker) this.#worker = null;
      for (const [id, waiting] of this.#waiting) {
        this.#waiting.delete(id);
        waiting.reject(new Refused(503, 'ERR_UNAVAILABLE', 'reading the request failed', 1));
      }
    };
    worker.on('error', lost);
    worker.on('exit', lost);
    return worker;
  }
}
