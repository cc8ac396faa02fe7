/**
 * All that passes between the page and the main process: every call, every event, every value. Types only, so that the preload
 * script, which may load nothing, can use it too.
 */

/** A log-mel spectrogram: natural logarithms, [bands, frames] row-major. */
export interface Spectrogram {
  data: Float32Array;
  bands: number;
  frames: number;
  /** Seconds from one frame to the next. */
  step: number;
  /** Upper edge of the highest band, in Hz. */
  top: number;
}

/** Mono sound, full scale ±1, with its picture. */
export interface Sound {
  samples: Float32Array;
  /** In Hz. */
  sampleRate: number;
  spectrogram: Spectrogram;
}

/** A recording as the model takes it: mixed to one channel, at the model's rate. */
export interface Recording extends Sound {
  /** What `synthesize` names it by. */
  id: number;
  /** The file's name, without its folder: the page never sees a path. */
  name: string;
  /** Of the file, in Hz. */
  originalRate: number;
}

export type DeviceType = 'metal' | 'cpu';

export interface DeviceChoice {
  type: DeviceType;
  name: string;
  /** Why it cannot be chosen; null if it can. */
  unavailable: string | null;
}

export interface Synthesis extends Sound {
  device: DeviceType;
  /** What the synthesis took, in seconds. */
  seconds: number;
  /** Mean |difference| of the two log-mel spectrograms. */
  distance: number;
}

/** Errors are values here: of one that is thrown, Electron passes on only the message. */
export type Outcome<T> = { ok: true; value: T } | { ok: false; code: string; message: string };

/** Calls of the page, answered by the main process. */
export interface Calls {
  devices(): DeviceChoice[];
  /** Asks for a WAV file with the system's dialog; null if the user closed it. */
  open(): Recording | null;
  /** The recording that the package brings. */
  sample(): Recording;
  /** One at a time. */
  synthesize(request: { recording: number; device: DeviceType }): Synthesis;
  /** Ends the synthesis that is running with ERR_ABORTED; without one it does nothing. */
  cancel(): void;
}

/** Events from the main process. */
export interface Events {
  /** Part of the synthesis that is done, from 0 to 1. */
  progress: number;
}

export type Call = keyof Calls;
export type Argument<C extends Call> = Parameters<Calls[C]>;
export type Result<C extends Call> = ReturnType<Calls[C]>;

/** What the preload script gives the page as `window.weightnorm`. */
export type Api = { [C in Call]: (...argument: Argument<C>) => Promise<Outcome<Result<C>>> } & {
  /** Calls `listener` with each part done; returns what ends that. */
  onProgress(listener: (part: Events['progress']) => void): () => void;
};
