import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { HifiGanConfig } from '../../audio/hifigan-config.js';
import { packageRoot } from '../../native.js';
import type { Case, Family, Size } from './report.js';

interface Geometry {
  stride?: number | number[];
  padding?: number | number[];
  dilation?: number;
  groups?: number;
}

const axesOf: Readonly<Record<Family, number>> = { Linear: 0, Conv1d: 1, Conv2d: 2, ConvTranspose1d: 1, 'HiFi-GAN': 0 };
const each = (value: number | number[], axes: number): number[] => (Array.isArray(value) ? value : new Array<number>(axes).fill(value));

function op(family: Family, ...weight: number[]): Case {
  return {
    suite: 'ops',
    name: `${family} ${weight.join('×')}`,
    family,
    weight,
    x: [],
    stride: [],
    padding: [],
    dilation: [],
    groups: 1,
    variants: ['op', 'copy', 'norm', 'backward'],
  };
}

function layer(family: Family, weight: number[], x: number[], { stride = 1, padding, dilation = 1, groups = 1 }: Geometry = {}): Case {
  const axes = axesOf[family];
  const kernel = weight.slice(2);
  // Transposed: the output is stride times as long; otherwise as long as the input (of stride 1, odd kernels).
  const natural =
    family === 'ConvTranspose1d' ? Math.floor(((kernel[0] as number) - (stride as number)) / 2) : kernel.map((k) => Math.floor((dilation * (k - 1)) / 2));
  const extras = [
    ...(each(stride, axes).some((s) => s !== 1) ? [`stride ${each(stride, axes).join('×')}`] : []),
    ...(dilation !== 1 ? [`dilation ${dilation}`] : []),
    ...(groups !== 1 ? [`groups ${groups}`] : []),
  ];
  const spatial = family === 'Linear' ? `, ${x[0]} rows` : ` on ${x[0] === 1 ? '' : `${x[0]} of `}${x.slice(2).join('×')}`;
  return {
    suite: 'layers',
    name: [`${family} ${weight.join('×')}${spatial}`, ...extras].join(', '),
    family,
    weight,
    x,
    stride: each(stride, axes),
    padding: each(padding ?? natural, axes),
    dilation: each(dilation, axes),
    groups,
    variants: ['live', 'folded', 'written', 'once'],
  };
}

function opCases(size: Size): Case[] {
  if (size === 'smallest') return [op('Linear', 16, 32), op('Conv1d', 8, 8, 3), op('Conv2d', 4, 4, 3, 3)];
  const ladder = [
    ...[128, 512, 1024, 2048, 4096].map((n) => op('Linear', n, n)),
    ...[32, 128, 512, 1024].map((n) => op('Conv1d', n, n, 7)),
    ...[32, 128, 512].map((n) => op('Conv2d', n, n, 3, 3)),
  ];
  if (size === 'default') return ladder;
  return [...ladder, op('Linear', 512, 5632), op('Linear', 65536, 64), op('Linear', 256, 65536), op('Conv1d', 512, 512, 3), op('Conv2d', 1024, 512, 5, 1)];
}

function layerCases(size: Size): Case[] {
  if (size === 'smallest') {
    return [layer('Linear', [16, 32], [4, 32]), layer('Conv1d', [8, 8, 3], [1, 8, 16]), layer('Conv2d', [4, 4, 3, 3], [1, 4, 8, 8])];
  }
  const ladder = [
    ...[128, 512, 1024, 2048].map((n) => layer('Linear', [n, n], [64, n])),
    layer('Conv1d', [32, 32, 3], [1, 32, 8192]),
    layer('Conv1d', [64, 64, 7], [1, 64, 2048]),
    layer('Conv1d', [128, 128, 11], [1, 128, 1024]),
    layer('Conv1d', [256, 256, 7], [1, 256, 256]),
    layer('Conv1d', [512, 512, 3], [1, 512, 32]),
    ...[32, 64, 128, 256].map((n) => layer('Conv2d', [n, n, 3, 3], [1, n, 32, 32])),
  ];
  if (size === 'default') return ladder;
  return [
    ...ladder,
    ...[1, 16, 256, 4096].map((rows) => layer('Linear', [512, 512], [rows, 512])),
    layer('Conv1d', [512, 80, 7], [1, 80, 250]),
    layer('Conv1d', [512, 512, 3], [1, 512, 1024]),
    layer('Conv1d', [256, 32, 12], [8, 256, 1000], { groups: 8, padding: 0 }),
    layer('Conv1d', [64, 64, 7], [1, 64, 4096], { dilation: 9 }),
    ...[2, 4, 8].map((stride) => layer('Conv1d', [128, 64, 2 * stride], [1, 64, 4096], { stride, padding: Math.ceil(stride / 2) })),
    layer('Conv1d', [256, 1, 7], [1, 256, 2048], { groups: 256 }),
    ...[2, 4, 5, 8, 10].map((stride) => layer('ConvTranspose1d', [256, 128, 2 * stride], [1, 256, 128], { stride })),
    layer('Conv2d', [128, 32, 5, 1], [1, 32, 500, 3], { stride: [3, 1], padding: [2, 0] }),
    layer('Conv2d', [512, 128, 5, 1], [1, 128, 167, 3], { stride: [3, 1], padding: [2, 0] }),
    layer('Conv2d', [32, 32, 3, 9], [1, 32, 128, 257], { stride: [1, 2], padding: [1, 4] }),
  ];
}

const blocks = {
  resblock_kernel_sizes: [3, 7, 11],
  resblock_dilation_sizes: [
    [1, 3, 5],
    [1, 3, 5],
    [1, 3, 5],
  ],
};

/** HiFi-GAN's published configurations, and one small enough for tests. */
export const vocoderConfigs: Readonly<Record<'V1' | 'V3' | 'tiny', HifiGanConfig>> = {
  V1: { ...blocks, resblock: '1', upsample_rates: [8, 8, 2, 2], upsample_kernel_sizes: [16, 16, 4, 4], upsample_initial_channel: 512 },
  V3: {
    resblock: '2',
    upsample_rates: [8, 8, 4],
    upsample_kernel_sizes: [16, 16, 8],
    upsample_initial_channel: 256,
    resblock_kernel_sizes: [3, 5, 7],
    resblock_dilation_sizes: [
      [1, 2],
      [2, 6],
      [3, 12],
    ],
  },
  tiny: {
    resblock: '1',
    upsample_rates: [2, 2],
    upsample_kernel_sizes: [4, 4],
    upsample_initial_channel: 8,
    num_mels: 8,
    resblock_kernel_sizes: [3],
    resblock_dilation_sizes: [[1, 3]],
  },
};

/** The voice that comes with the package. */
export const bundledVoice = path.join(packageRoot, 'examples', 'voice');

function vocoder(name: string, config: HifiGanConfig, frames: number, model?: string): Case {
  return {
    suite: 'vocoder',
    name: `${name}, ${frames} frames`,
    family: 'HiFi-GAN',
    weight: [],
    x: [1, config.num_mels ?? 80, frames],
    stride: [],
    padding: [],
    dilation: [],
    groups: 1,
    variants: ['live', 'folded', 'direct', 'written'],
    config,
    ...(model && { model }),
  };
}

function vocoderCases(size: Size): Case[] {
  if (size === 'smallest') return [vocoder('tiny', vocoderConfigs.tiny, 4)];
  const voice = JSON.parse(readFileSync(path.join(bundledVoice, 'config.json'), 'utf8')) as HifiGanConfig;
  const bundled = [32, 250].map((frames) => vocoder('bundled voice', voice, frames, bundledVoice));
  if (size === 'default') return [...bundled, vocoder('V1', vocoderConfigs.V1, 32), vocoder('V3', vocoderConfigs.V3, 32)];
  return [...bundled, ...(['V1', 'V3'] as const).flatMap((name) => [32, 250].map((frames) => vocoder(name, vocoderConfigs[name], frames)))];
}

/** The cases of a suite. */
export function casesOf(suite: Case['suite'], size: Size): Case[] {
  return { ops: opCases, layers: layerCases, vocoder: vocoderCases }[suite](size);
}
