// Speaks while it synthesises: raw 16-bit samples go to standard output as soon as they are determined.
//   node examples/streaming/speak.mjs examples/voice/sample-1.wav | ffplay -autoexit -nodisp -f s16le -ar 16000 -i -
//   node examples/streaming/speak.mjs examples/voice/sample-1.wav | aplay -f S16_LE -r 16000
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { audio } from 'weightnorm';

const [input = fileURLToPath(new URL('../voice/sample-1.wav', import.meta.url))] = process.argv.slice(2);
const voice = await audio.HifiGan.load(fileURLToPath(new URL('../voice', import.meta.url)));
const { channels } = await audio.readWav(input);
const mel = audio.melSpectrogram(channels[0], voice.melConfig);

// Ctrl-C ends the loop below and frees the stream at once.
const abort = new AbortController();
process.once('SIGINT', () => abort.abort());
process.stdout.on('error', () => abort.abort());

const started = performance.now();
let made = 0;
try {
  for await (const samples of voice.synthesizeStream(mel, { signal: abort.signal, chunkFrames: 8 })) {
    if (made === 0) process.stderr.write(`first audio after ${(performance.now() - started).toFixed(0)} ms\n`);
    made += samples.length;
    const pcm = Int16Array.from(samples, (value) => Math.max(-32768, Math.min(32767, Math.round(value * 32768))));
    // A player that falls behind holds the synthesis back.
    if (!process.stdout.write(new Uint8Array(pcm.buffer))) await once(process.stdout, 'drain', { signal: abort.signal });
  }
  process.stderr.write(`${made} samples in ${(performance.now() - started).toFixed(0)} ms\n`);
} catch (error) {
  if (!abort.signal.aborted) throw error;
}
voice.dispose();
