import type { Tensor } from '../../tensor.js';
import type { ConvWindow } from '../conv-state.js';

/** Where a node stands in one of its inputs. */
export interface Position {
  /** Steps from the node's cursor to the end of what is determined; left padding counts. */
  ready: number;
  /** Steps of left padding at the cursor. */
  before: number;
  /** Steps that this push added. */
  grown: number;
}

/** What a node does in one push. All numbers are relative, so they repeat from push to push. */
export interface Advance {
  /** Outputs that become determined. */
  count: number;
  /** What is read of each input: [first step from the cursor, length]. Null where nothing is. */
  reads: readonly (readonly [number, number] | null)[];
  /** How far the cursor of each input moves. */
  take: readonly number[];
  /** The node's own number afterwards. */
  own: number;
  /** Numbers for the operation. */
  detail: readonly number[];
  /** Those of a convolution. */
  window?: ConvWindow;
}

/**
 * One operation of a streamed network. Inputs are named by their index in the graph. A node has a cursor in each input:
 * the first step that its next output reads, negative in left padding. Everything before is forgotten.
 */
export interface StreamNode {
  /** For messages. */
  readonly name: string;
  readonly inputs: readonly number[];
  /** Cursors before the first step. */
  readonly start: readonly number[];
  /** An integer that the node carries from push to push: its value before the first step. */
  readonly own: number;
  /** Outputs a step of the source is `up` / `down`. */
  readonly up: number;
  readonly down: number;
  /** Which outputs are determined now; `ended`: no more input follows. */
  advance(at: readonly Position[], own: number, ended: boolean): Advance;
  /** The last step of each input that must be known for an output. */
  need(output: number): readonly number[];
  /** A new tensor of `count` outputs from what `reads` names. */
  run(reads: readonly (Tensor | null)[], step: Advance): Tensor;
}

/** Nothing happens. */
export function idle(inputs: number, own: number): Advance {
  const none = new Array<number>(inputs).fill(0);
  return { count: 0, reads: none.map(() => null), take: none, own, detail: [] };
}
