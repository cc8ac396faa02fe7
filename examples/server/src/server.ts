import type { FastifyInstance } from 'fastify';
import type { audio } from 'weightnorm';
import { buildApp } from './app.js';
import type { Backend } from './backend.js';
import { Engine } from './engine.js';
import { LocalBackend } from './local.js';
import { Reader } from './reader.js';
import { RedisBackend } from './redis.js';
import type { Settings } from './settings.js';
import { voiceConfig } from './voice-config.js';

/** A running server. */
export interface Server {
  app: FastifyInstance;
  url: string;
  /** Null where workers synthesise. */
  engine: Engine | null;
  /** Takes no new requests, finishes those that run, at most for the shutdown time-out, and frees everything. */
  stop(): Promise<void>;
}

export async function startServer(settings: Settings): Promise<Server> {
  const { redisUrl } = settings;
  const engine = redisUrl === null ? await Engine.load(settings) : null;
  const backend: Backend = engine ? new LocalBackend(engine, settings) : new RedisBackend(settings, redisUrl as string);
  const config: audio.MelConfig = engine ? engine.config : await voiceConfig(settings.voice);
  const reader = new Reader(config, settings.maxSeconds);
  const stopping = new AbortController();
  const app = buildApp({ settings, backend, reader, config, device: engine?.device ?? null }, stopping.signal);
  const url = await app.listen({ host: settings.host, port: settings.port });
  return {
    app,
    url,
    engine,
    stop: async () => {
      stopping.abort();
      // Those that take too long lose their connection, which ends their synthesis.
      const timer = setTimeout(() => app.server.closeAllConnections(), settings.shutdownTimeoutMs);
      // A connection that was kept alive is not needed once its answer is complete.
      const sweep = setInterval(() => app.server.closeIdleConnections(), 50);
      await app.close();
      clearInterval(sweep);
      clearTimeout(timer);
      await reader.close();
      await backend.close();
    },
  };
}
