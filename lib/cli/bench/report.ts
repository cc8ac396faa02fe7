import type { HifiGanConfig } from '../../audio/hifigan-config.js';
import type { Machine } from './machine.js';
import type { Summary } from './statistics.js';

/** How much is measured: one tiny case a family, the usual ladder, or every shape. */
export type Size = 'smallest' | 'default' | 'all';

/**
 * What is timed. `op`: w from v and g; `backward` and `norm` beside it; `copy`: v copied, the same least traffic as `op`.
 * `live`: forward with weight norm; `folded`: forward with a plain weight. Both queue several forwards and wait once.
 * `direct`: folded, with `algorithm: 'direct'`.
 * `once`: a folded forward, waited for; `written`: the same with live weight norm, after every g and v was written.
 */
export type Variant = 'op' | 'backward' | 'norm' | 'copy' | 'live' | 'folded' | 'direct' | 'once' | 'written';

export type Family = 'Linear' | 'Conv1d' | 'Conv2d' | 'ConvTranspose1d' | 'HiFi-GAN';

/** One shape to measure, as peers are told it. Weights are in torch's order, float32. */
export interface Case {
  suite: 'ops' | 'layers' | 'vocoder';
  name: string;
  family: Family;
  /** Shape of v. */
  weight: number[];
  /** Shape of the input; empty for the op alone. */
  x: number[];
  stride: number[];
  padding: number[];
  dilation: number[];
  groups: number;
  variants: Variant[];
  /** Of a vocoder. */
  config?: HifiGanConfig;
  /** Folder of a trained vocoder; without it weights are random. */
  model?: string;
}

/** Who ran what, where. */
export interface Identity {
  /** 'weightnorm' or a peer's name. */
  by: string;
  variant: Variant;
  device: string;
}

/** How many times longer `to` took than the row it stands in: pairwise, in the same rounds. */
export interface Comparison {
  to: Identity;
  speedUp: Summary;
}

/** One line of the results. */
export interface Row extends Identity {
  suite: Case['suite'];
  case: string;
  family: Family;
  weight: number[];
  x: number[];
  /** Compute threads on a CPU. */
  threads: number;
  /** The software Metal of the project's tests: the time says nothing. */
  simulated: boolean;
  /** Of one call or forward. */
  milliseconds?: Summary;
  /** Calls a sample timed together. */
  repeats?: number;
  /** Least bytes or operations over the median time. */
  rate?: { value: number; unit: 'GB/s' | 'GFLOP/s' };
  /** Relative distance to the reference: float64 for our own rows, our own result for peers. */
  error?: number;
  /** Why it was not timed. */
  failed?: string;
  comparisons: Comparison[];
}

/** A figure of the Node side. */
export interface Figure {
  name: string;
  value: number;
  unit: string;
  device: string;
  /** What it must not exceed. */
  limit?: number;
  within?: boolean;
}

export interface BenchReport {
  format: 1;
  version: string;
  command: string;
  date: string;
  machine: Machine;
  settings: { size: Size; rounds: number; threads: number[] };
  peers: { name: string; version?: string; device?: string; missing?: string }[];
  rows: Row[];
  figures: Figure[];
  published: typeof published;
}

/** Figures from elsewhere, shown for orientation only. */
export const published = {
  label:
    'published, not measured here: the weight norm proposed to MLX (ml-explore/mlx pull request 1921), M3 Max, over PyTorch MPS; its shapes are not published',
  speedUps: [
    { family: 'Linear', low: 4.9, high: 5.26 },
    { family: 'Conv1d', low: 1.46, high: 2.05 },
    { family: 'Conv2d', low: 1.5, high: 1.76 },
  ],
} as const;
