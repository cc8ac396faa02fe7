import { allocate } from './file.js';

/** A row-major view of elements that lie `strides` apart, both counted in elements, from element `start` on. */
export interface StridedView {
  start: number;
  shape: readonly number[];
  strides: readonly number[];
}

export function elementsOf(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

/** Strides of a row-major array. */
export function rowMajor(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis] as number;
  }
  return strides;
}

/**
 * The elements of a view, row-major: `source` itself where the view is all of it, else a copy. `source` begins its buffer and
 * holds every element of the view.
 */
export function gather(source: Uint8Array<ArrayBuffer>, itemBytes: number, { start, shape, strides }: StridedView, path: string): Uint8Array<ArrayBuffer> {
  const size = elementsOf(shape);
  // Axes of one element say nothing; from the last axis inwards, as many as lie together are copied at once.
  const axes = shape.flatMap((dim, axis) => (dim === 1 ? [] : [{ dim, stride: strides[axis] as number }]));
  let run = 1;
  while (axes.length > 0 && axes[axes.length - 1]?.stride === run) run *= axes.pop()?.dim as number;
  if (size === run && start === 0 && source.length === size * itemBytes) return source;
  const result = allocate(size * itemBytes, path);
  if (size === 0) return result;
  const unit = itemBytes % 4 === 0 ? 4 : itemBytes;
  const Units = unit === 4 ? Uint32Array : unit === 2 ? Uint16Array : Uint8Array;
  const [from, to] = [new Units(source.buffer, 0, Math.floor(source.length / unit)), new Units(result.buffer)];
  const per = (run * itemBytes) / unit;
  const inner = axes.pop() ?? { dim: 1, stride: 0 };
  const [step, perItem] = [(inner.stride * itemBytes) / unit, itemBytes / unit];
  const index = axes.map(() => 0);
  let outer = start;
  for (let at = 0; ; ) {
    let position = outer * perItem;
    for (let i = 0; i < inner.dim; i++, position += step) {
      if (per <= 16) for (let k = 0; k < per; k++) to[at + k] = from[position + k] as number;
      else to.set(from.subarray(position, position + per), at);
      at += per;
    }
    let axis = axes.length - 1;
    for (; axis >= 0; axis--) {
      const { dim, stride } = axes[axis] as { dim: number; stride: number };
      outer += stride;
      index[axis] = (index[axis] as number) + 1;
      if ((index[axis] as number) < dim) break;
      outer -= dim * stride;
      index[axis] = 0;
    }
    if (axis < 0) return result;
  }
}

/** Reverses the bytes of each element in place. */
export function swapBytes(bytes: Uint8Array, itemBytes: number): void {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (itemBytes === 2) buffer.swap16();
  else if (itemBytes === 4) buffer.swap32();
  else if (itemBytes === 8) buffer.swap64();
}
