import { describe, fail } from '../errors.js';

/**
 * Mixes channels to one: the mean of their samples, added in float64.
 * @param channels one Float32Array a channel, all of one length, as {@link readWav} gives them
 * @returns as many samples as each channel has; always a copy
 * @throws WeightNormError ERR_SHAPE for no channels or lengths that differ, ERR_DTYPE for what is no Float32Array.
 */
export function toMono(channels: readonly Float32Array[]): Float32Array<ArrayBuffer> {
  if (!Array.isArray(channels) || channels.length === 0) fail('ERR_SHAPE', `channels is ${describe(channels)}; it must be a list of at least one channel`);
  const [first] = channels as [Float32Array];
  channels.forEach((channel, i) => {
    if (Object.prototype.toString.call(channel) !== '[object Float32Array]')
      fail('ERR_DTYPE', `channels[${i}] is ${describe(channel)}; it must be a Float32Array`);
    if (channel.length !== first.length)
      fail('ERR_SHAPE', `channels[${i}] has ${channel.length} samples and channels[0] has ${first.length}; all must have as many`);
  });
  return Float32Array.from(first, (_, i) => {
    let sum = 0;
    for (const channel of channels) sum += channel[i] as number;
    return sum / channels.length;
  });
}
