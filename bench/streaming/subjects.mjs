// The vocoders whose streams are measured, and what is pushed into them.

const dilations = [1, 3, 5];

/** HiFi-GAN's own configurations; the bundled voice is V2. */
const configs = {
  v1: {
    resblock: '1',
    upsample_rates: [8, 8, 2, 2],
    upsample_kernel_sizes: [16, 16, 4, 4],
    upsample_initial_channel: 512,
    resblock_kernel_sizes: [3, 7, 11],
    resblock_dilation_sizes: [dilations, dilations, dilations],
  },
  v3: {
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
};

export const models = ['voice', 'v1', 'v3'];

export async function vocoder(audio, model, options) {
  if (model === 'voice') return audio.HifiGan.load(new URL('../../examples/voice', import.meta.url).pathname, options);
  return new audio.HifiGan(configs[model], options);
}

/** A spectrogram of speech-like values. */
export function spectrogram(mels, frames) {
  const data = Float32Array.from({ length: mels * frames }, (_, i) => -5 + 3 * Math.sin(i * 0.37) + 2 * Math.sin(i * 0.011));
  return { data, mels, frames };
}

function part({ data, mels, frames }, from, to) {
  const piece = new Float32Array(mels * (to - from));
  for (let band = 0; band < mels; band++) piece.set(data.subarray(band * frames + from, band * frames + to), band * (to - from));
  return { data: piece, mels, frames: to - from };
}

export function piecesOf(mel, chunk) {
  const pieces = [];
  for (let at = 0; at < mel.frames; at += chunk) pieces.push(part(mel, at, Math.min(mel.frames, at + chunk)));
  return pieces;
}
