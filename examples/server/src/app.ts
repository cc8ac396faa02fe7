import { Readable } from 'node:stream';
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import type { audio, Device } from 'weightnorm';
import type { Backend } from './backend.js';
import { aborted, queueFull, Refused } from './failures.js';
import { Metrics } from './metrics.js';
import { wavHeader } from './pcm.js';
import type { Reader } from './reader.js';
import type { Settings } from './settings.js';

/** What a server is made of. */
export interface Parts {
  settings: Settings;
  backend: Backend;
  reader: Reader;
  config: audio.MelConfig;
  /** Null where other processes synthesise. */
  device: Device | null;
}

const bodies = ['audio/wav', 'audio/wave', 'audio/x-wav', 'audio/vnd.wave', 'application/x-npy', 'application/x-safetensors', 'application/octet-stream'];

/** The HTTP server, not yet listening. `stopping` aborts: /healthz says so, what runs is finished. */
export function buildApp({ settings, backend, reader, config, device }: Parts, stopping: AbortSignal): FastifyInstance {
  const app = fastify({
    logger: process.env.LOG_LEVEL ? { level: process.env.LOG_LEVEL } : false,
    bodyLimit: settings.maxBodyBytes,
    // A body that trickles in is cut off.
    requestTimeout: settings.requestTimeoutMs,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
  });
  const metrics = new Metrics(backend, device);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(bodies, { parseAs: 'buffer' }, (_request, body, done) => done(null, body));

  app.setErrorHandler((error: Error & { statusCode?: number; code?: string }, request, reply) => {
    const status = error.statusCode ?? 500;
    if (status >= 500) request.log.error(error);
    if (error instanceof Refused && error.retryAfter !== null) reply.header('retry-after', error.retryAfter);
    // What is wrong inside is for the log.
    const message = status === 500 ? 'the synthesis failed' : error.message;
    return reply.code(status).send({ error: { code: error.code ?? 'ERR_UNEXPECTED', message } });
  });
  app.setNotFoundHandler((request, reply) =>
    reply.code(404).send({ error: { code: 'ERR_NOT_FOUND', message: `there is no ${request.method} ${request.url}` } }),
  );

  app.get('/healthz', async (_request, reply) => {
    if (stopping.aborted) return reply.code(503).send({ status: 'stopping' });
    try {
      await backend.check();
    } catch (error) {
      return reply.code(503).send({ status: 'failing', reason: (error as Error).message });
    }
    return { status: 'ok', device: device?.info.name ?? 'workers', sampleRate: config.sampling_rate, ...(await backend.load()) };
  });

  app.get('/metrics', async (_request, reply) => reply.type(metrics.registry.contentType).send(await metrics.registry.metrics()));

  app.post(
    '/synthesize',
    {
      onRequest: async (_request, reply) => {
        reply.raw.once('close', () => metrics.requests.inc({ status: reply.raw.writableFinished ? reply.statusCode : 499 }));
        // Refuses before the body has been read.
        const seconds = await backend.retryAfter();
        if (seconds !== null) throw queueFull(seconds);
      },
    },
    async (request, reply) => {
      const started = performance.now();
      const elapsed = (): number => (performance.now() - started) / 1000;
      const signal = AbortSignal.any([gone(request, reply), deadline(settings.requestTimeoutMs, reply)]);
      const mel = await abortable(reader.read(request.body as Buffer), signal);
      const samples = mel.frames * config.hop_size;
      const pieces = backend.synthesize(mel, signal);
      // With the first piece it is known that there will be sound, and not an error.
      const first = await pieces.next();
      metrics.firstAudio.observe(elapsed());
      const sound = async function* (): AsyncGenerator<Uint8Array, void, void> {
        try {
          yield wavHeader(samples, config.sampling_rate);
          if (first.value) yield first.value;
          yield* pieces;
          metrics.duration.observe(elapsed());
          metrics.audioSeconds.inc(samples / config.sampling_rate);
        } finally {
          await pieces.return();
        }
      };
      return reply
        .header('content-type', 'audio/wav')
        .header('content-length', 44 + samples * 2)
        .header('cache-control', 'no-store')
        .send(Readable.from(sound(), { objectMode: false, highWaterMark: 1 << 16 }));
    },
  );
  return app;
}

/** Aborts when the caller closes the connection before the answer is complete. */
function gone(request: FastifyRequest, reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) controller.abort(new Refused(499, 'ERR_GONE', 'the caller has gone'));
  });
  if (request.raw.destroyed && !request.raw.complete) controller.abort();
  return controller.signal;
}

/** Aborts after the time that a request may take. */
function deadline(ms: number, reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(new Refused(504, 'ERR_TIMEOUT', `the request took longer than ${ms} ms`, 1)), ms);
  reply.raw.once('close', () => clearTimeout(timer));
  return controller.signal;
}

async function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let abort = (): void => {};
  const end = new Promise<never>((_, reject) => {
    abort = () => reject(aborted(signal));
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
  });
  try {
    return await Promise.race([promise, end]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
