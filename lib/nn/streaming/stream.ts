import { fail } from '../../errors.js';
import { register, untracked } from '../../scope.js';
import { nativeOf, type Tensor } from '../../tensor.js';
import type { StreamLayout, StreamPlan } from './plan.js';
import { type Kept, release, runTransition } from './run.js';

/** What all streams have; models with streams of their own kind, as `HifiGan`, return another than {@link ModuleStream}. */
export interface Stream {
  readonly lookahead: number;
  readonly rate: number;
  readonly stateBytes: number;
  flush(): unknown;
  dispose(): void;
}

/**
 * A module that is fed piece by piece. What is pushed and what comes out, put together, is what the module's forward takes
 * and returns: the same bits with `algorithm: 'direct'`, within the layers' tolerances otherwise. Each layer keeps the end of
 * its input on the device; nothing is computed twice. A push that throws has changed nothing.
 */
export class ModuleStream implements Stream {
  readonly #plan: StreamPlan;
  #layout: StreamLayout;
  #kept: Kept;
  #first: Tensor['shape'] | null = null;
  #state: 'open' | 'flushed' | 'disposed' = 'open';

  /** @internal */
  constructor(plan: StreamPlan) {
    this.#plan = plan;
    this.#layout = plan.initial;
    this.#kept = [];
  }

  /**
   * Input steps that must have been pushed beyond the one that an output belongs to, before that output is determined. It
   * follows from the layers' kernels, strides and padding. Infinite for circular padding, which needs the end.
   */
  get lookahead(): number {
    return this.#plan.lookahead;
  }

  /** Output steps for each input step. */
  get rate(): number {
    return this.#plan.rate;
  }

  /** Bytes of device memory that the stream holds between pushes. */
  get stateBytes(): number {
    return this.#kept.reduce((sum, tensor) => sum + (tensor?.byteLength ?? 0), 0);
  }

  /**
   * @param x any number of steps: [N, C, L], or [N, L, C] for layers of layout 'mlx'
   * @returns the steps of the output that are now determined and were not before, the caller's; null if there are none
   * @throws WeightNormError ERR_STATE after flush, ERR_DISPOSED after dispose, ERR_SHAPE if x does not continue what was pushed.
   */
  push(x: Tensor): Tensor | null {
    this.#check('push');
    nativeOf(x, 'x');
    const { axis, channels } = this.#plan;
    const { shape } = x;
    const given = `x has shape [${shape.join(', ')}]`;
    if (shape.length !== 3) fail('ERR_SHAPE', `${given}; a stream takes ${axis === 1 ? '[N, L, C]' : '[N, C, L]'}`);
    if (channels !== null && shape[3 - axis] !== channels)
      fail('ERR_SHAPE', `${given}; its axis ${3 - axis} must be ${channels}, the channels of the first layer`);
    const first = this.#first;
    if (first?.some((size, i) => i !== axis && size !== shape[i])) {
      fail('ERR_SHAPE', `${given}; the stream began with [${first.join(', ')}]: only axis ${axis} may differ`);
    }
    const output = this.#advance(x, false);
    this.#first ??= shape;
    return output;
  }

  /**
   * Ends the stream and frees its state.
   * @returns the rest of the output; null if there is none
   * @throws WeightNormError ERR_SHAPE if the whole input is too short for the module.
   */
  flush(): Tensor | null {
    this.#check('flush');
    const output = this.#first ? this.#advance(null, true) : null;
    this.#state = 'flushed';
    return output;
  }

  /** Frees the state. Disposing again does nothing. */
  dispose(): void {
    if (this.#state === 'open') release(this.#kept);
    this.#kept = [];
    this.#state = 'disposed';
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #advance(x: Tensor | null, ended: boolean): Tensor | null {
    const plan = this.#plan;
    const transition = plan.transition(this.#layout, x?.shape[plan.axis] ?? 0, ended);
    let { kept, output } = untracked(() => runTransition(plan, transition, this.#kept, x));
    if (output === x && output) output = untracked(() => (x as Tensor).clone());
    if (output) register(output);
    release(this.#kept, kept);
    this.#kept = kept;
    this.#layout = transition.next;
    return output;
  }

  #check(action: string): void {
    if (this.#state === 'disposed') fail('ERR_DISPOSED', `${action}: the stream was disposed`);
    if (this.#state === 'flushed') fail('ERR_STATE', `${action}: the stream was flushed; open another with stream()`);
  }
}
