import { cat, narrow } from '../../functional.js';
import type { Tensor } from '../../tensor.js';
import type { Advance, StreamNode } from './node.js';
import type { StreamPlan, Transition } from './plan.js';

/** @internal What is kept of each node's output (null: nothing); or, where a program runs, all of it in one tensor with a row a stream. */
export type Kept = readonly (Tensor | null)[];

/**
 * @internal Computes one push. `kept` and `x` stay the caller's, except that a tensor of `kept` may be kept on and is then in both.
 * When it throws, nothing has changed.
 */
export function runTransition(plan: StreamPlan, transition: Transition, kept: Kept, x: Tensor | null): { kept: Kept; output: Tensor | null } {
  const program = plan.program(transition);
  if (program) {
    const { after, output } = program.run(kept[0] ?? null, x);
    return { kept: after ? [after] : [], output };
  }
  const { nodes, lastUse, axis } = plan;
  const values: (Tensor | null)[] = nodes.map(() => null);
  const after: (Tensor | null)[] = nodes.map(() => null);
  const ours = new Set<Tensor>();
  const own = (tensor: Tensor): Tensor => {
    ours.add(tensor);
    return tensor;
  };
  const drop = (tensor: Tensor | null): void => {
    if (tensor && ours.delete(tensor)) tensor.dispose();
  };
  let output: Tensor | null = null;

  /** Sets what can be read of a node: what is kept of it and what is new. */
  const grow = (i: number, fresh: Tensor | null): void => {
    if (i === plan.output) output = fresh;
    if ((lastUse[i] as number) < 0) return;
    const tail = kept[i] ?? null;
    values[i] = tail && fresh ? own(cat([tail, fresh], axis)) : (tail ?? fresh);
    if (tail && fresh && fresh !== output) drop(fresh);
  };
  const read = (i: number, range: readonly [number, number] | null): Tensor | null => {
    const value = values[i] ?? null;
    if (!range || !value) return null;
    const [from, length] = range;
    return length === value.shape[axis] ? value : own(narrow(value, axis, from, length));
  };
  /** Keeps the end of what no node of this push reads any more. */
  const finish = (i: number): void => {
    const value = values[i] ?? null;
    const length = transition.next.lengths[i] as number;
    if (value && length > 0) {
      if (length < (value.shape[axis] as number)) after[i] = own(narrow(value, axis, transition.forgotten[i] as number, length));
      else after[i] = value === x || value === output ? own(value.reshape(value.shape)) : value;
    }
    if (value !== after[i] && value !== output) drop(value);
    values[i] = null;
  };

  try {
    grow(0, x);
    for (let i = 1; i < nodes.length; i++) {
      const { inputs } = nodes[i] as StreamNode;
      const step = transition.steps[i] as Advance | null;
      if (step) {
        const reads = (transition.reads[i] as Transition['reads'][number]).map((range, k) => read(inputs[k] as number, range));
        const y = own((nodes[i] as StreamNode).run(reads, step));
        for (const [k, tensor] of reads.entries()) if (tensor !== values[inputs[k] as number]) drop(tensor);
        grow(i, y);
      } else {
        grow(i, null);
      }
      for (const input of new Set(inputs)) if (lastUse[input] === i) finish(input);
    }
    for (const tensor of [...after, output]) if (tensor) ours.delete(tensor);
    return { kept: after, output };
  } finally {
    for (const tensor of ours) tensor.dispose();
  }
}

/** @internal Frees what was kept, but for what is kept on. */
export function release(kept: Kept, on: Kept = []): void {
  for (const tensor of kept) if (tensor && !on.includes(tensor)) tensor.dispose();
}
