import type { HifiGanConfig } from '../../audio/hifigan-config.js';
import { add, conv1d, convTranspose1d, div, leakyRelu, tanh } from '../../functional.js';
import { scope } from '../../scope.js';
import type { Tensor } from '../../tensor.js';

/**
 * HiFi-GAN's generator as its authors wrote it: plain weights, one operation after the other, direct convolutions.
 * `state`: names to folded parameters, on the device of mel `[1, mels, frames]`. The result is the caller's.
 */
export function referenceVocoder(config: HifiGanConfig, state: ReadonlyMap<string, Tensor>, mel: Tensor): Tensor {
  const parameter = (name: string): Tensor => state.get(name) as Tensor;
  const conv = (name: string, x: Tensor, dilation = 1): Tensor => {
    const weight = parameter(`${name}.weight`);
    const padding = (((weight.shape[2] as number) - 1) * dilation) / 2;
    return conv1d(x, weight, parameter(`${name}.bias`), { padding, dilation, algorithm: 'direct' });
  };
  const block = (index: number, kernel: number, x: Tensor): Tensor =>
    scope(() =>
      (config.resblock_dilation_sizes[kernel] as number[]).reduce((y, dilation, d) => {
        const name = `resblocks.${index}`;
        if (config.resblock === '2') return add(y, conv(`${name}.convs.${d}`, leakyRelu(y, 0.1), dilation));
        return add(y, conv(`${name}.convs2.${d}`, leakyRelu(conv(`${name}.convs1.${d}`, leakyRelu(y, 0.1), dilation), 0.1)));
      }, x),
    );
  return scope(() => {
    const count = config.resblock_kernel_sizes.length;
    const last = config.upsample_rates.reduce(
      (x, stride, stage) =>
        scope(() => {
          const weight = parameter(`ups.${stage}.weight`);
          const padding = Math.floor(((weight.shape[2] as number) - stride) / 2);
          const input = convTranspose1d(leakyRelu(x, 0.1), weight, parameter(`ups.${stage}.bias`), { stride, padding, algorithm: 'direct' });
          const outputs = config.resblock_kernel_sizes.map((_, j) => block(stage * count + j, j, input));
          return div(outputs.reduce(add), count);
        }),
      conv('conv_pre', mel),
    );
    return tanh(conv('conv_post', leakyRelu(last, 0.01)));
  });
}
