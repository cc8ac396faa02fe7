import { Redis, type RedisOptions } from 'ioredis';
import type { audio } from 'weightnorm';

/** One utterance on its way to a worker. */
export interface Job {
  /** Spectrogram, float32 in base64, [mels, frames]. */
  mel: string;
  mels: number;
  frames: number;
  /** The Redis stream that the server which took the request reads. */
  replyTo: string;
  /** When its caller gives up, in ms since 1970. */
  deadline: number;
}

/**
 * What a worker says about a job, as an entry of the server's stream: a piece of samples with its place in the utterance, the end, or
 * an error. Places make a job that is done again, because its worker died, continue where the first stopped: its samples are the same bits.
 */
export interface Piece {
  job: string;
  kind: 'samples' | 'end' | 'error';
  /** First byte of the piece in the utterance. */
  at: number;
  data: Buffer;
}

export const cancelChannel = (queueName: string): string => `${queueName}:cancel`;
export const replyStream = (queueName: string, server: string): string => `${queueName}:audio:${server}`;
/** After this long without a new piece Redis forgets a stream, so that servers that died leave nothing behind. */
const streamLifeMs = 120_000;

export function encodeMel({ data, mels, frames }: audio.Mel): Pick<Job, 'mel' | 'mels' | 'frames'> {
  return { mel: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64'), mels, frames };
}

export function decodeMel({ mel, mels, frames }: Job): audio.Mel {
  return { data: new Float32Array(Uint8Array.from(Buffer.from(mel, 'base64')).buffer), mels, frames };
}

export async function sendPiece(redis: Redis, stream: string, { job, kind, at, data }: Piece): Promise<void> {
  await redis.pipeline().xadd(stream, '*', 'job', job, 'kind', kind, 'at', String(at), 'data', data).pexpire(stream, streamLifeMs).exec();
}

/** The fields of an entry, in any order. */
export function pieceOf(fields: readonly Buffer[]): Piece {
  const values = new Map<string, Buffer>();
  for (let i = 0; i + 1 < fields.length; i += 2) values.set(String(fields[i]), fields[i + 1] as Buffer);
  return {
    job: String(values.get('job')),
    kind: String(values.get('kind')) as Piece['kind'],
    at: Number(values.get('at')),
    data: values.get('data') ?? Buffer.alloc(0),
  };
}

/** A connection whose errors are reported where commands are awaited, not thrown at the process. */
export function connect(url: string, options: Pick<RedisOptions, 'maxRetriesPerRequest' | 'enableOfflineQueue'>): Redis {
  const { maxRetriesPerRequest = null, enableOfflineQueue = true } = options;
  const redis = new Redis(url, { maxRetriesPerRequest, enableOfflineQueue });
  redis.on('error', () => {});
  return redis;
}
