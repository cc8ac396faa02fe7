import { describe, fail } from '../errors.js';
import type { MelConfig } from './mel.js';

/** The keys of HiFi-GAN's config.json that shape the generator, with those of its mel front end. Other keys are ignored. */
export interface HifiGanConfig extends Partial<MelConfig> {
  /** Residual blocks of pairs of convolutions ('1', as in V1 and V2) or of single ones ('2', as in V3). */
  resblock: '1' | '2';
  upsample_rates: number[];
  upsample_kernel_sizes: number[];
  /** Channels before the first stage; every stage halves them. */
  upsample_initial_channel: number;
  /** Kernel sizes of the residual blocks whose outputs a stage averages. */
  resblock_kernel_sizes: number[];
  /** Dilations of each of those blocks. */
  resblock_dilation_sizes: number[][];
}

/** A generator's config, checked; `num_mels` is 80 unless given. Throws ERR_FORMAT, naming `what` and the key. */
export function checkHifiGanConfig(value: unknown, what: string): HifiGanConfig & { num_mels: number } {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    fail('ERR_FORMAT', `${what} is ${describe(value)}; it must be an object with HiFi-GAN's keys`);
  const config = value as Record<string, unknown>;
  const bad = (key: string, allowed: string): never => fail('ERR_FORMAT', `${what}: ${key} is ${describe(config[key])}; it must be ${allowed}`);
  const isCount = (item: unknown): item is number => Number.isSafeInteger(item) && (item as number) >= 1 && (item as number) <= 1 << 20;
  const isCounts = (item: unknown): item is number[] => Array.isArray(item) && item.length > 0 && item.every(isCount);
  const counts = (key: string): number[] => {
    const list = config[key];
    return isCounts(list) ? [...list] : bad(key, 'a non-empty array of integers of at least 1');
  };

  const resblock = String(config.resblock);
  if (resblock !== '1' && resblock !== '2') bad('resblock', '"1" or "2"');
  const rates = counts('upsample_rates');
  const kernels = counts('upsample_kernel_sizes');
  if (kernels.length !== rates.length) bad('upsample_kernel_sizes', `one number for each of the ${rates.length} upsample_rates`);
  if (kernels.some((kernel, i) => kernel < (rates[i] as number))) bad('upsample_kernel_sizes', `at least the upsample_rates, ${describe(rates)}`);

  const channels = config.upsample_initial_channel;
  if (!isCount(channels) || channels < 2 ** rates.length)
    return bad('upsample_initial_channel', `an integer of at least ${2 ** rates.length}, which ${rates.length} stages can halve`);

  const blockKernels = counts('resblock_kernel_sizes');
  const dilations = config.resblock_dilation_sizes;
  if (!Array.isArray(dilations) || dilations.length !== blockKernels.length || !dilations.every(isCounts)) {
    return bad('resblock_dilation_sizes', `an array of integers of at least 1 for each of the ${blockKernels.length} resblock_kernel_sizes`);
  }
  blockKernels.forEach((kernel, i) => {
    const used = [...(dilations[i] as number[]), ...(resblock === '1' ? [1] : [])];
    if (used.some((dilation) => ((kernel - 1) * dilation) % 2 !== 0)) bad('resblock_kernel_sizes', "odd, so that a block keeps its input's length");
  });

  const mels = config.num_mels ?? 80;
  if (!isCount(mels)) return bad('num_mels', 'an integer of at least 1');
  const hop = rates.reduce((product, rate) => product * rate, 1);
  if (config.hop_size !== undefined && config.hop_size !== hop) bad('hop_size', `the product of upsample_rates, ${hop}`);
  return {
    ...(config as Partial<MelConfig>),
    resblock: resblock as '1' | '2',
    upsample_rates: rates,
    upsample_kernel_sizes: kernels,
    upsample_initial_channel: channels,
    resblock_kernel_sizes: blockKernels,
    resblock_dilation_sizes: dilations.map((list: number[]) => [...list]),
    num_mels: mels,
  };
}
