import { functional, type nn, type Tensor } from 'weightnorm';
import { generator } from './random';

/** Pieces, each of at least 1, that add up to `total`. */
export function randomCut(total: number, seed: number, most = total): number[] {
  const next = generator(seed);
  const pieces: number[] = [];
  for (let left = total; left > 0; ) {
    const piece = Math.min(left, 1 + Math.floor(next() * most));
    pieces.push(piece);
    left -= piece;
  }
  return pieces;
}

/** The output of a module fed in pieces along an axis, joined; and how many steps each piece gave, the flush last. */
export function streamed(
  module: nn.Module,
  x: Tensor,
  pieces: readonly number[],
  axis = 2,
): { output: Float32Array; shape: readonly number[]; counts: number[] } {
  const stream = module.stream();
  const outputs: Tensor[] = [];
  const counts: number[] = [];
  const take = (piece: Tensor | null): void => {
    counts.push(piece?.shape[axis] ?? 0);
    if (piece) outputs.push(piece);
  };
  let at = 0;
  for (const length of pieces) {
    const piece = functional.narrow(x, axis, at, length);
    take(stream.push(piece));
    piece.dispose();
    at += length;
  }
  take(stream.flush());
  stream.dispose();
  const whole = functional.cat(outputs, axis);
  const output = whole.readSync();
  for (const tensor of [...outputs, whole]) tensor.dispose();
  return { output, shape: whole.shape, counts };
}
