import { Worker } from 'bullmq';
import type { Engine } from './engine.js';
import { cancelChannel, connect, decodeMel, type Job, sendPiece } from './jobs.js';
import type { Settings } from './settings.js';

/** Takes jobs until it is closed; closing finishes what runs. */
export interface JobWorker {
  /** Resolves when it is ready to take jobs. */
  ready(): Promise<unknown>;
  /** What was synthesised is sent; what still runs after the shutdown time-out is given up, for other workers to take. */
  close(): Promise<void>;
}

export function startWorker(engine: Engine, settings: Settings, url: string): JobWorker {
  const replies = connect(url, { maxRetriesPerRequest: null });
  const cancels = connect(url, { maxRetriesPerRequest: null });
  const cancelled = new Set<string>();
  const worker = new Worker<Job>(
    settings.queueName,
    async (job, _token, signal) => {
      const { data, id = '' } = job;
      if (Date.now() > data.deadline || cancelled.delete(id)) return;
      const send = (kind: 'samples' | 'end' | 'error', at: number, bytes: Uint8Array = Buffer.alloc(0)): Promise<void> =>
        sendPiece(replies, data.replyTo, { job: id, kind, at, data: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) });
      const limit = AbortSignal.timeout(Math.max(1, data.deadline - Date.now()));
      const stop = signal ? AbortSignal.any([signal, limit]) : limit;
      let at = 0;
      try {
        for await (const bytes of engine.synthesize(decodeMel(data), stop)) {
          await send('samples', at, bytes);
          at += bytes.length;
        }
        await send('end', at);
      } catch (error) {
        // Whoever cancelled does not listen any more.
        if (!stop.aborted) await send('error', at, Buffer.from((error as Error).message));
      }
    },
    {
      connection: connect(url, { maxRetriesPerRequest: null }),
      concurrency: settings.concurrency,
      lockDuration: settings.stalledMs,
      stalledInterval: settings.stalledMs,
      // A job whose worker died is done again by another, twice at most.
      maxStalledCount: 2,
    },
  );
  worker.on('error', () => {});
  cancels.on('message', (_channel, id) => {
    if (worker.cancelJob(id)) return;
    // Another worker's, or one of this worker's that is about to begin.
    cancelled.add(id);
    setTimeout(() => cancelled.delete(id), 10_000).unref();
  });
  void cancels.subscribe(cancelChannel(settings.queueName)).catch(() => {});
  return {
    ready: () => worker.waitUntilReady(),
    close: async () => {
      const timer = setTimeout(() => worker.close(true), settings.shutdownTimeoutMs);
      await worker.close();
      clearTimeout(timer);
      cancels.disconnect();
      await replies.quit().catch(() => {});
    },
  };
}
