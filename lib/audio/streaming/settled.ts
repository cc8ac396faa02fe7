import { narrow } from '../../functional.js';
import { addon } from '../../native.js';
import type { Kept } from '../../nn/streaming/run.js';
import { untracked } from '../../scope.js';
import { nativeOf, type Tensor } from '../../tensor.js';

/**
 * The values of `output`, none where it is null, once they and what is kept beside them are computed; rejects with what failed. Null
 * where there is neither. `output` may be disposed afterwards, what is kept only when the promise is settled.
 */
export function settled(output: Tensor | null, kept: Kept): Promise<Float32Array> | null {
  const state = kept.filter((tensor) => tensor !== null);
  const last = output ?? state[state.length - 1];
  if (!last) return null;
  if (output) return checked(output.read(), state);
  // Work is done in order: one number of what was queued last says when all of it is done.
  const mark = untracked(() => narrow(last, last.shape.length - 1, 0, 1));
  const done = mark.read().then(() => new Float32Array(0));
  mark.dispose();
  return checked(done, state);
}

async function checked(done: Promise<Float32Array>, state: readonly Tensor[]): Promise<Float32Array> {
  const values = await done;
  for (const tensor of state) if (addon.failed(nativeOf(tensor, 'state'))) await tensor.read();
  return values;
}
