// The vocoders whose streams are measured, and what is pushed into them.

/** The bundled voice is V2. */
export const models = ['voice', 'v1', 'v3'];

export async function vocoder(model, options) {
  // Not before it is wanted: the library reads the environment when it is loaded.
  const { audio } = await import('../../dist/index.mjs');
  const { bundledVoice, vocoderConfigs } = (await import('../../dist/cli/bench/cases.js')).default;
  return model === 'voice' ? audio.HifiGan.load(bundledVoice, options) : new audio.HifiGan(vocoderConfigs[model.toUpperCase()], options);
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
