/** An answer other than sound: its HTTP status, and a code for programs. */
export class Refused extends Error {
  readonly statusCode: number;
  readonly code: string;
  /** Seconds after which to try again, where that may help. */
  readonly retryAfter: number | null;

  constructor(statusCode: number, code: string, message: string, retryAfter: number | null = null) {
    super(message);
    this.statusCode = statusCode;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

export function queueFull(retryAfter: number): Refused {
  return new Refused(429, 'ERR_BUSY', `the queue is full; try again in ${retryAfter} s`, retryAfter);
}

/** Why a request's signal aborted, as what its caller is told. */
export function aborted(signal: AbortSignal): unknown {
  return signal.reason instanceof Refused ? signal.reason : new Refused(499, 'ERR_GONE', 'the caller has gone');
}
