import type { Module } from '../nn/module.js';
import type { Tensor } from '../tensor.js';

/** A convolution was queued. */
export interface Step {
  result: Tensor;
  /** The layer or block that is complete with it. */
  completes: Module | null;
}

/** A forward, one convolution at a time. What is alive in between is disposed at the end, however it comes. */
export type Steps = Generator<Step, Tensor, void>;

/** The whole forward at once. */
export function allOf(steps: Steps): Tensor {
  let step = steps.next();
  while (!step.done) step = steps.next();
  return step.value;
}
