/** Every code a {@link WeightNormError} can carry. */
export type ErrorCode =
  | 'ERR_ARGUMENT'
  | 'ERR_SHAPE'
  | 'ERR_DTYPE'
  | 'ERR_DEVICE'
  | 'ERR_DISPOSED'
  | 'ERR_MEMORY'
  | 'ERR_DEVICE_UNAVAILABLE'
  | 'ERR_DEVICE_LOST'
  | 'ERR_EXECUTION'
  | 'ERR_STATE'
  | 'ERR_FORMAT'
  | 'ERR_IO'
  | 'ERR_KEYS'
  | 'ERR_ABORTED'
  | 'ERR_NOT_WEIGHT_NORMED'
  | 'ERR_ALREADY_WEIGHT_NORMED'
  | 'ERR_ADDON';

/** Every failure of the library: a stable `code`, and a message that names the argument, what was given and what is allowed. */
export class WeightNormError extends Error {
  override readonly name = 'WeightNormError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Throws a {@link WeightNormError}. */
export function fail(code: ErrorCode, message: string, cause?: unknown): never {
  throw new WeightNormError(code, message, cause === undefined ? undefined : { cause });
}

/** A short rendering of any value for messages: type and, where small, content. */
export function describe(value: unknown): string {
  if (value === null) return 'null';
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value);
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'undefined') return String(value);
  if (typeof value === 'bigint') return `${value}n`;
  if (Array.isArray(value)) {
    const flat = value.length <= 8 && value.every((v) => v === null || typeof v !== 'object');
    return flat ? `[${value.map(describe).join(', ')}]` : `an array of ${value.length}`;
  }
  if (typeof value === 'function') return `function ${value.name || '(anonymous)'}`;
  return `a ${(value as object).constructor?.name ?? 'object'}`;
}
