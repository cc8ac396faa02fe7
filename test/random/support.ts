import type { Codes, Slot } from './world';

export const at = (values: ArrayLike<number>, i: number): number => values[i] as number;
export const disposed = (slots: readonly Slot[]): Codes => new Set(slots.some((slot) => slot.disposed) ? (['ERR_DISPOSED'] as const) : []);

/** ERR_DEVICE and ERR_DTYPE of operands beside the first; `floatToo`: float32 is allowed beside a half type. */
export function alike(codes: Codes, first: Slot, others: readonly (Slot | null)[], floatToo = false): void {
  for (const other of others) {
    if (!other) continue;
    if (other.device !== first.device) codes.add('ERR_DEVICE');
    if (other.dtype !== first.dtype && !(floatToo && other.dtype === 'float32')) codes.add('ERR_DTYPE');
  }
}

/** A shape with some axes as 1. */
export const kept = (shape: readonly number[], reduced: readonly number[]): number[] => shape.map((dim, axis) => (reduced.includes(axis) ? 1 : dim));
