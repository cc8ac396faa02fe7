import { randomUUID } from 'node:crypto';
import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import type { audio } from 'weightnorm';
import { type Backend, ServiceTime } from './backend.js';
import { aborted, queueFull, Refused } from './failures.js';
import { Inbox } from './inbox.js';
import { cancelChannel, connect, encodeMel, type Job, pieceOf, replyStream } from './jobs.js';
import type { Settings } from './settings.js';

/** Jobs go to workers through BullMQ; samples come back through a Redis stream of this server's own. */
export class RedisBackend implements Backend {
  readonly #settings: Settings;
  readonly #queue: Queue<Job>;
  /** Answers at once, also when Redis is away. */
  readonly #commands: Redis;
  /** Waits for pieces, and does nothing else. */
  readonly #listener: Redis;
  readonly #stream: string;
  readonly #inboxes = new Map<string, Inbox>();
  readonly #times = new ServiceTime();
  readonly #connections: Redis[] = [];
  #closed = false;

  constructor(settings: Settings, url: string) {
    this.#settings = settings;
    this.#stream = replyStream(settings.queueName, randomUUID());
    const open = (options: Parameters<typeof connect>[1]): Redis => {
      const connection = connect(url, options);
      this.#connections.push(connection);
      return connection;
    };
    this.#commands = open({ maxRetriesPerRequest: 1, enableOfflineQueue: false });
    this.#listener = open({ maxRetriesPerRequest: null });
    this.#queue = new Queue<Job>(settings.queueName, {
      connection: open({ maxRetriesPerRequest: 1 }),
      defaultJobOptions: { removeOnComplete: true, removeOnFail: true },
    });
    this.#queue.on('error', () => {});
    void this.#listen();
  }

  async retryAfter(): Promise<number | null> {
    const { waiting, active } = await this.load();
    // Every job waits for a moment, until a worker takes it.
    return waiting >= Math.max(1, this.#settings.queueLimit) ? this.#times.until(waiting, active) : null;
  }

  async *synthesize(mel: audio.Mel, signal: AbortSignal): AsyncGenerator<Uint8Array, void, void> {
    if (signal.aborted) throw aborted(signal);
    const seconds = await this.retryAfter();
    if (seconds !== null) throw queueFull(seconds);
    const id = randomUUID();
    const inbox = new Inbox();
    this.#inboxes.set(id, inbox);
    const stop = (): void => inbox.fail(aborted(signal));
    signal.addEventListener('abort', stop, { once: true });
    const started = performance.now();
    let whole = false;
    try {
      const deadline = Date.now() + this.#settings.requestTimeoutMs;
      await unavailable(this.#queue.add('synthesize', { ...encodeMel(mel), replyTo: this.#stream, deadline }, { jobId: id }));
      yield* inbox;
      whole = true;
      this.#times.record((performance.now() - started) / 1000);
    } finally {
      signal.removeEventListener('abort', stop);
      this.#inboxes.delete(id);
      if (!whole) await this.#cancel(id);
    }
  }

  async load(): Promise<{ waiting: number; active: number }> {
    const { wait = 0, active = 0 } = await unavailable(this.#online().then(() => this.#queue.getJobCounts('wait', 'active')));
    return { waiting: wait, active };
  }

  async check(): Promise<void> {
    await unavailable(this.#commands.ping());
    if ((await unavailable(this.#queue.getWorkersCount())) === 0) throw new Error('there is no worker');
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const inbox of this.#inboxes.values()) inbox.fail(new Refused(503, 'ERR_STOPPING', 'the server is stopping', 1));
    this.#listener.disconnect();
    await this.#commands.del(this.#stream).catch(() => {});
    // Where Redis is away, closing would wait for it to come back.
    await Promise.race([this.#queue.close().catch(() => {}), new Promise((resolve) => setTimeout(resolve, 1000))]);
    for (const connection of this.#connections) connection.disconnect();
  }

  async #online(): Promise<void> {
    if (this.#commands.status !== 'ready') await this.#commands.ping();
  }

  /** A job that waits is taken back; a worker that is at it is told to stop. */
  async #cancel(id: string): Promise<void> {
    await this.#queue.remove(id).catch(() => {});
    await this.#commands.publish(cancelChannel(this.#settings.queueName), id).catch(() => {});
  }

  async #listen(): Promise<void> {
    for (let last = '0'; !this.#closed; ) {
      const replies = await this.#listener.xreadBuffer('COUNT', 256, 'BLOCK', 5000, 'STREAMS', this.#stream, last).catch(() => undefined);
      // Redis is away: pieces wait there, or their jobs are done again.
      if (replies === undefined && !this.#closed) await new Promise((resolve) => setTimeout(resolve, 100));
      for (const [, entries] of replies ?? []) {
        for (const [entry, fields] of entries) {
          last = String(entry);
          const piece = pieceOf(fields);
          this.#inboxes.get(piece.job)?.take(piece);
        }
        // What was taken need not be kept.
        await this.#commands.xtrim(this.#stream, 'MINID', last).catch(() => {});
      }
    }
  }
}

/** Whatever keeps Redis from answering is a 503. */
async function unavailable<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    throw new Refused(503, 'ERR_UNAVAILABLE', `the queue cannot be reached: ${(error as Error).message}`, 1);
  }
}
