import type { PaddingMode } from '../../conv-options.js';
import { fail } from '../../errors.js';
import { add, narrow, pad } from '../../functional.js';
import type { Tensor } from '../../tensor.js';
import { type Advance, idle, type Position, type StreamNode } from './node.js';

interface Parent {
  index: number;
  node: StreamNode;
}

/** @internal What is pushed. */
export class SourceNode implements StreamNode {
  readonly name = 'source';
  readonly inputs = [];
  readonly start = [];
  readonly own = 0;
  readonly up = 1;
  readonly down = 1;

  advance(): Advance {
    return idle(0, 0);
  }

  need(): readonly number[] {
    return [];
  }

  run(): Tensor {
    return fail('ERR_STATE', 'the source of a stream computes nothing');
  }
}

/** Every step by itself, or several inputs step by step. */
class StepwiseNode implements StreamNode {
  readonly inputs: readonly number[];
  readonly start: readonly number[];
  readonly own = 0;
  readonly up: number;
  readonly down: number;

  constructor(
    readonly name: string,
    parents: readonly Parent[],
    private readonly compute: (reads: readonly Tensor[]) => Tensor,
  ) {
    this.inputs = parents.map(({ index }) => index);
    this.start = parents.map(() => 0);
    this.up = (parents[0] as Parent).node.up;
    this.down = (parents[0] as Parent).node.down;
  }

  advance(at: readonly Position[], own: number, ended: boolean): Advance {
    const count = Math.min(...at.map(({ ready }) => ready));
    if (ended && at.some(({ ready }) => ready !== count)) fail('ERR_SHAPE', `${this.name}: its inputs have different lengths`);
    if (count === 0) return idle(at.length, own);
    return { count, reads: at.map(() => [0, count]), take: at.map(() => count), own, detail: [] };
  }

  need(output: number): readonly number[] {
    return this.inputs.map(() => output);
  }

  run(reads: readonly (Tensor | null)[]): Tensor {
    return this.compute(reads as readonly Tensor[]);
  }
}

/** @internal A function of each step. */
export function mapNode(name: string, parent: Parent, compute: (x: Tensor) => Tensor): StreamNode {
  return new StepwiseNode(name, [parent], ([x]) => compute(x as Tensor));
}

/** @internal The sum of two signals. */
export function addNode(a: Parent, b: Parent): StreamNode {
  return new StepwiseNode('add', [a, b], ([x, y]) => add(x as Tensor, y as Tensor));
}

/** @internal x, at most `factor` steps for each step of `clock`. The own number is how many more are allowed. */
export class LimitNode implements StreamNode {
  readonly name = 'limit';
  readonly inputs: readonly number[];
  readonly start = [0, 0];
  readonly own = 0;
  readonly up: number;
  readonly down: number;

  constructor(
    x: Parent,
    clock: Parent,
    private readonly factor: number,
  ) {
    this.inputs = [x.index, clock.index];
    this.up = x.node.up;
    this.down = x.node.down;
  }

  advance([x, clock]: readonly [Position, Position], own: number): Advance {
    const allowed = own + this.factor * clock.ready;
    const count = Math.min(x.ready, allowed);
    return { count, reads: [count > 0 ? [0, count] : null, null], take: [count, clock.ready], own: allowed - count, detail: [] };
  }

  need(output: number): readonly number[] {
    return [output, Math.floor(output / this.factor)];
  }

  run([x]: readonly (Tensor | null)[]): Tensor {
    return (x as Tensor).reshape((x as Tensor).shape);
  }
}

/** @internal The padding of a convolution, added to its input: what depends on the signal, and zeros beyond the kernel's reach. The own number says whether the left side is done. */
export class PadNode implements StreamNode {
  readonly name = 'padding';
  readonly inputs: readonly number[];
  readonly start = [0];
  readonly own = 0;
  readonly up: number;
  readonly down: number;
  /** Steps that the left side is made of, and the right. */
  readonly #least: number;
  readonly #kept: number;

  constructor(
    parent: Parent,
    private readonly left: number,
    private readonly right: number,
    private readonly mode: PaddingMode,
    private readonly axis: number,
  ) {
    this.inputs = [parent.index];
    this.up = parent.node.up;
    this.down = parent.node.down;
    const depth = (side: number): number => (mode === 'circular' ? Number.POSITIVE_INFINITY : mode === 'reflect' ? side + 1 : 1);
    this.#least = depth(left);
    this.#kept = right > 0 ? depth(right) : 0;
  }

  advance([x]: readonly [Position], own: number, ended: boolean): Advance {
    if (x.ready === 0 || (!ended && (own === 1 ? x.grown === 0 : x.ready < this.#least))) return idle(1, own);
    const [left, right] = [own === 1 ? 0 : this.left, ended ? this.right : 0];
    const fresh = own === 1 ? x.grown : x.ready;
    const read = ended && right > 0 ? Math.max(fresh, Math.min(this.#kept, x.ready)) : fresh;
    const count = left + fresh + right;
    if (count === 0) return idle(1, own);
    return { count, reads: [[x.ready - read, read]], take: [Math.max(0, x.ready - this.#kept)], own: 1, detail: [left, right, read - fresh] };
  }

  need(output: number): readonly number[] {
    return [Math.max(output - this.left, this.#least - 1)];
  }

  run([x]: readonly (Tensor | null)[], { count, detail }: Advance): Tensor {
    const [left, right, skip] = detail as [number, number, number];
    const padded = padAxis(x as Tensor, this.axis, left, right, this.mode);
    if (skip === 0) return padded;
    try {
      return narrow(padded, this.axis, skip, count);
    } finally {
      padded.dispose();
    }
  }
}

/** {@link pad} of any axis. */
function padAxis(x: Tensor, axis: number, left: number, right: number, mode: PaddingMode): Tensor {
  const last = x.shape.length - 1;
  if (axis === last) return pad(x, [left, right], { mode });
  const swap = x.shape.map((_, i) => (i === axis ? last : i === last ? axis : i));
  const moved = x.transpose(swap);
  let padded: Tensor | undefined;
  try {
    padded = pad(moved, [left, right], { mode });
    return padded.transpose(swap);
  } finally {
    moved.dispose();
    padded?.dispose();
  }
}
