import { type Transformer, TransformStream } from 'node:stream/web';
import { describe, fail } from '../../errors.js';
import { narrow } from '../../functional.js';
import { untracked } from '../../scope.js';
import { Tensor } from '../../tensor.js';
import type { Mel } from '../mel.js';
import type { StreamOptions, Synthesizer } from './synthesizer.js';

/** Frames in any number of pieces; one spectrogram is a piece, too. */
export type MelSource = Tensor | Mel | Iterable<Tensor | Mel> | AsyncIterable<Tensor | Mel>;

export interface SynthesizeStreamOptions extends StreamOptions {
  /** Frames that are computed together where one spectrogram is given whole. Default 16. */
  chunkFrames?: number | undefined;
}

/** Samples as they are determined, no empty pieces. Nothing is computed before it is asked for; ending the loop early frees the state and ends `mels`. */
export async function* samplesOf(stream: Synthesizer, mels: AsyncIterable<Tensor | Mel> | Iterable<Tensor | Mel>): AsyncGenerator<Float32Array, void, void> {
  try {
    for await (const mel of mels) {
      const samples = await stream.push(mel);
      if (samples.length > 0) yield samples;
    }
    const rest = await stream.flush();
    if (rest.length > 0) yield rest;
  } finally {
    stream.dispose();
  }
}

/** The pieces of a source: those of an iterable, or a spectrogram cut into pieces of `frames`. */
export function piecesOf(mels: MelSource, frames: number, input: (mel: Tensor | Mel) => Tensor): AsyncIterable<Tensor | Mel> | Iterable<Tensor | Mel> {
  if (Tensor.is(mels) || (typeof mels === 'object' && mels !== null && 'data' in mels)) return cut(input(mels), frames);
  if (typeof mels === 'object' && mels !== null && (Symbol.asyncIterator in mels || Symbol.iterator in mels)) return mels;
  return fail('ERR_ARGUMENT', `mels is ${describe(mels)}; it must be a Tensor, { data, mels, frames }, or an iterable of them`);
}

function* cut(whole: Tensor, frames: number): Generator<Tensor, void, void> {
  const total = whole.shape[2] as number;
  try {
    for (let at = 0; at < total; at += frames) {
      const piece = untracked(() => narrow(whole, 2, at, Math.min(frames, total - at)));
      try {
        yield piece;
      } finally {
        piece.dispose();
      }
    }
  } finally {
    whole.dispose();
  }
}

/** A Web TransformStream of frames to samples. Its queues hold one piece; cancelling or aborting either side frees the state. */
export function transformOf(stream: Synthesizer): TransformStream<Tensor | Mel, Float32Array> {
  // Type definitions of Node 20 do not know cancel; runtimes that do not call it leave the state to the garbage collector.
  const transformer: Transformer<Tensor | Mel, Float32Array> & { cancel(): void } = {
    async transform(mel, controller) {
      try {
        const samples = await stream.push(mel);
        if (samples.length > 0) controller.enqueue(samples);
      } catch (error) {
        stream.dispose();
        throw error;
      }
    },
    async flush(controller) {
      const rest = await stream.flush();
      if (rest.length > 0) controller.enqueue(rest);
    },
    cancel() {
      stream.dispose();
    },
  };
  return new TransformStream(transformer);
}
