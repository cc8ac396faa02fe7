import { functional as F } from 'weightnorm';
import { sourceIndex } from '../support/conv-reference';
import { exact, unravel, type Value } from './model';
import { alike, at, disposed } from './support';
import type { Slot, World } from './world';

const flat = (shape: readonly number[], index: readonly number[]): number => shape.reduce((sum, dim, axis) => sum * dim + (index[axis] as number), 0);
const broadcastAtFull = (shape: readonly number[], order: readonly number[], index: readonly number[]): number => {
  const from = new Array<number>(shape.length);
  order.forEach((axis, i) => {
    from[axis] = index[i] as number;
  });
  return flat(shape, from);
};

/** What moves numbers and changes none. */
export const moves: Record<string, (w: World) => void> = {
  transpose(w) {
    const x = w.any();
    const order = Array.from({ length: x.shape.length }, (_, axis) => axis);
    for (let i = order.length - 1; i > 0; i--) {
      const j = w.next(i + 1);
      [order[i], order[j]] = [order[j] as number, order[i] as number];
    }
    const codes = disposed([x]);
    if (order.length > 1 && w.rarely(12)) {
      order[0] = order[1] as number;
      codes.add('ERR_ARGUMENT');
    }
    const y = w.attempt(codes, () => x.tensor.transpose(w.next(2) ? order : order.map((axis) => axis - x.shape.length)));
    if (!y) return;
    const input = x.value;
    const shape = order.map((axis) => x.shape[axis] as number);
    w.add(y, shape, x.dtype, x.device, (got) =>
      exact(
        'transpose',
        got,
        (i) => {
          const index = unravel(i, shape);
          return at(input.numbers, broadcastAtFull(input.shape, order, index));
        },
        w.tally,
      ),
    );
  },

  narrow(w) {
    const x = w.any();
    const rank = x.shape.length;
    const axis = w.next(Math.max(1, rank) + (w.rarely(12) ? 1 : 0));
    const size = x.shape[axis] ?? 1;
    const start = w.next(size);
    const length = 1 + w.next(size - start) + (w.rarely(12) ? size : 0);
    const codes = disposed([x]);
    if (axis >= rank || start + length > size) codes.add('ERR_ARGUMENT');
    const y = w.attempt(codes, () => F.narrow(x.tensor, axis, w.next(2) ? start : start - size, length));
    if (!y) return;
    const input = x.value;
    const shape = x.shape.map((dim, i) => (i === axis ? length : dim));
    w.add(y, shape, x.dtype, x.device, (got) =>
      exact(
        'narrow',
        got,
        (i) => {
          const index = unravel(i, shape);
          index[axis] = (index[axis] as number) + start;
          return at(input.numbers, flat(input.shape, index));
        },
        w.tally,
      ),
    );
  },

  cat(w) {
    const first = w.any();
    const rank = first.shape.length;
    const axis = w.next(Math.max(1, rank));
    const parts = [
      first,
      ...Array.from({ length: w.next(3) }, () =>
        w.beside(
          first,
          first.shape.map((dim, i) => (i === axis ? 1 + w.next(4) : dim)),
        ),
      ),
    ];
    const codes = disposed(parts);
    if (rank === 0) codes.add('ERR_ARGUMENT');
    alike(codes, first, parts);
    const outside = (slot: Slot): string => `${slot.shape.length}:${slot.shape.filter((_, i) => i !== axis)}`;
    if (parts.some((part) => outside(part) !== outside(first))) codes.add('ERR_SHAPE');
    const y = w.attempt(codes, () =>
      F.cat(
        parts.map((part) => part.tensor),
        axis,
      ),
    );
    if (!y) return;
    const inputs = parts.map((part) => part.value);
    const shape = first.shape.map((dim, i) => (i === axis ? parts.reduce((sum, part) => sum + (part.shape[axis] as number), 0) : dim));
    w.add(y, shape, first.dtype, first.device, (got) =>
      exact(
        'cat',
        got,
        (i) => {
          const index = unravel(i, shape);
          let part = 0;
          while ((index[axis] as number) >= ((inputs[part] as Value).shape[axis] as number))
            index[axis] = (index[axis] as number) - ((inputs[part++] as Value).shape[axis] as number);
          return at((inputs[part] as Value).numbers, flat((inputs[part] as Value).shape, index));
        },
        w.tally,
      ),
    );
  },

  pad(w) {
    const x = w.any();
    const rank = x.shape.length;
    const length = x.shape[rank - 1] ?? 1;
    const [left, right] = [w.next(6), w.next(6)];
    const mode = w.pick(['zeros', 'reflect', 'replicate', 'circular']) as F.PaddingMode;
    const codes = disposed([x]);
    if (rank === 0) codes.add('ERR_SHAPE');
    else if (Math.max(left, right) > (mode === 'reflect' ? length - 1 : mode === 'circular' ? length : 99)) codes.add('ERR_ARGUMENT');
    const y = w.attempt(codes, () => F.pad(x.tensor, [left, right], { mode }));
    if (!y) return;
    const input = x.value;
    const width = left + length + right;
    w.add(y, [...x.shape.slice(0, -1), width], x.dtype, x.device, (got) =>
      exact(
        'pad',
        got,
        (i) => {
          const from = sourceIndex((i % width) - left, length, mode);
          return from < 0 ? 0 : at(input.numbers, Math.floor(i / width) * length + from);
        },
        w.tally,
      ),
    );
  },

  interpolate(w) {
    const x = w.any();
    const rank = x.shape.length;
    const factor = 1 + w.next(4);
    const codes = disposed([x]);
    if (rank === 0) codes.add('ERR_SHAPE');
    const y = w.attempt(codes, () => F.interpolate(x.tensor, factor));
    if (!y) return;
    const input = x.value;
    const shape = [...x.shape.slice(0, -1), (x.shape[rank - 1] as number) * factor];
    w.add(y, shape, x.dtype, x.device, (got) => exact('interpolate', got, (i) => at(input.numbers, Math.floor(i / factor)), w.tally));
  },
};
