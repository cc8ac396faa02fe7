/** Everything that can be set, each by an environment variable of the name given here. */
export interface Settings {
  /** HOST. Default 127.0.0.1: what serves other machines says so. */
  host: string;
  /** PORT. Default 8080; 0 takes a free one. */
  port: number;
  /** VOICE: a folder with config.json and weights, or a checkpoint with config.json beside it. Default: the bundled voice. */
  voice: string | null;
  /** DEVICE: 'metal' or 'cpu'. Default: metal where there is one. */
  device: 'metal' | 'cpu' | null;
  /** REDIS_URL: with it, jobs go through BullMQ to workers on any machine; without it, this process does them. */
  redisUrl: string | null;
  /** QUEUE_NAME in Redis. */
  queueName: string;
  /** CONCURRENCY: utterances that are synthesised at once, in each process that synthesises. */
  concurrency: number;
  /** QUEUE_LIMIT: requests that may wait; the next is answered 429. */
  queueLimit: number;
  /** REQUEST_TIMEOUT_MS: from the last byte of the request to the last of the answer. */
  requestTimeoutMs: number;
  /** SHUTDOWN_TIMEOUT_MS: how long a stopping process waits for what runs. */
  shutdownTimeoutMs: number;
  /** MAX_BODY_BYTES of a request. */
  maxBodyBytes: number;
  /** MAX_SECONDS of speech in one request. */
  maxSeconds: number;
  /** CHUNK_FRAMES: spectrogram frames that are computed together, and sent as one piece. */
  chunkFrames: number;
  /** STALLED_MS: after how long a job of a worker that fell silent is given to another. */
  stalledMs: number;
}

/** Reads the settings; throws, naming the variable, for values that make no sense. */
export function readSettings(env: NodeJS.ProcessEnv = process.env): Settings {
  const integer = (name: string, otherwise: number, least: number): number => {
    const text = env[name];
    const value = text === undefined || text === '' ? otherwise : Number(text);
    if (!Number.isSafeInteger(value) || value < least) throw new Error(`${name} is ${JSON.stringify(text)}; it must be an integer of at least ${least}`);
    return value;
  };
  const device = env.DEVICE || null;
  if (device !== null && device !== 'metal' && device !== 'cpu') throw new Error(`DEVICE is ${JSON.stringify(device)}; it must be metal or cpu`);
  return {
    host: env.HOST || '127.0.0.1',
    port: integer('PORT', 8080, 0),
    voice: env.VOICE || null,
    device,
    redisUrl: env.REDIS_URL || null,
    queueName: env.QUEUE_NAME || 'weightnorm',
    concurrency: integer('CONCURRENCY', 8, 1),
    queueLimit: integer('QUEUE_LIMIT', 64, 0),
    requestTimeoutMs: integer('REQUEST_TIMEOUT_MS', 60_000, 1),
    shutdownTimeoutMs: integer('SHUTDOWN_TIMEOUT_MS', 20_000, 0),
    maxBodyBytes: integer('MAX_BODY_BYTES', 16 << 20, 1024),
    maxSeconds: integer('MAX_SECONDS', 60, 1),
    chunkFrames: integer('CHUNK_FRAMES', 16, 1),
    stalledMs: integer('STALLED_MS', 10_000, 100),
  };
}
