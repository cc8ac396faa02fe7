// Writes a file while it synthesises, several sentences at once: each is a stream, and the vocoder computes what is ready together.
//   node examples/streaming/record.mjs out examples/voice/sample-1.wav examples/voice/sample-2.wav
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { audio } from 'weightnorm';

const [folder, ...inputs] = process.argv.slice(2);
if (!folder || inputs.length === 0) {
  process.stderr.write('usage: node record.mjs folder recording.wav…\n');
  process.exit(2);
}
await mkdir(folder, { recursive: true });
const voice = await audio.HifiGan.load(fileURLToPath(new URL('../voice', import.meta.url)), { algorithm: 'direct' });
const results = await Promise.allSettled(
  inputs.map(async (input) => {
    const { channels } = await audio.readWav(input);
    const mel = audio.melSpectrogram(channels[0], voice.melConfig);
    const output = path.join(folder, path.basename(input));
    // The file appears under its name when the last sample is written; a stream that fails leaves none, and the others go on.
    const samples = await audio.writeWavStream(output, voice.synthesizeStream(mel), voice.melConfig.sampling_rate);
    return `${output}: ${samples} samples`;
  }),
);
for (const [i, result] of results.entries()) console.log(result.value ?? `${inputs[i]}: ${result.reason.message}`);
voice.dispose();
process.exitCode = results.some(({ status }) => status === 'rejected') ? 1 : 0;
