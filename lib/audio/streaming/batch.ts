import { cat, narrow } from '../../functional.js';
import { release, runTransition } from '../../nn/streaming/run.js';
import { untracked } from '../../scope.js';
import type { Tensor } from '../../tensor.js';
import { settled } from './settled.js';
import { gather, type Place, Slab } from './slab.js';
import type { Job, Voice } from './voice.js';

/** What a voice does next: `frames` of its first job, or the end. */
export interface Piece {
  frames: number;
  ended: boolean;
}

export function nextPiece(voice: Voice, mostFrames: number): Piece {
  const { frames, done, input } = voice.jobs[0] as Job;
  return input ? { frames: Math.min(frames - done, mostFrames), ended: false } : { frames: 0, ended: true };
}

/** Streams computed in one forward: their samples to come, and the places of their new state. */
export interface Computation {
  /** Samples [voices · count], maybe none, once they and the new state are computed; rejects with what failed. Null: there was nothing to compute. */
  samples: Promise<Float32Array> | null;
  places: Place[];
}

/** Queues one piece of each voice as one forward. The voices are of one plan and layout and stay where they are. When it throws, nothing has changed. */
export function compute(voices: readonly Voice[], { frames, ended }: Piece): Computation {
  const { plan, place } = voices[0] as Voice;
  return untracked(() => {
    const transition = plan.transition(place.layout, frames, ended);
    const temporary: Tensor[] = [];
    const { kept, ours } = gather(voices.map((voice) => voice.place));
    try {
      const x = ended ? null : inputOf(voices, frames, temporary);
      const result = runTransition(plan, transition, kept, x);
      // A tensor that is kept on would belong to two slabs.
      const after = result.kept.map((tensor) => (tensor && kept.includes(tensor) ? tensor.reshape(tensor.shape) : tensor));
      const samples = settled(result.output, after);
      result.output?.dispose();
      const slab = ended ? null : new Slab(after, voices.length);
      return { samples, places: voices.map((_, row) => ({ layout: transition.next, slab, row })) };
    } finally {
      if (ours) release(kept);
      for (const tensor of temporary) tensor.dispose();
    }
  });
}

/** The next frames of each voice as rows. */
function inputOf(voices: readonly Voice[], frames: number, temporary: Tensor[]): Tensor {
  const own = (tensor: Tensor): Tensor => {
    temporary.push(tensor);
    return tensor;
  };
  const rows = voices.map(({ jobs }) => {
    const { input, done, frames: all } = jobs[0] as Job;
    return frames === all ? (input as Tensor) : own(narrow(input as Tensor, 2, done, frames));
  });
  return rows.length === 1 ? (rows[0] as Tensor) : own(cat(rows, 0));
}
