import { createRequire } from 'node:module';
import path from 'node:path';
import { audio } from 'weightnorm';

/** What the library does without a server: one utterance after another for two seconds, as seconds of speech a second. */
export async function timesRealTime(mel, audioSeconds) {
  const folder = path.join(path.dirname(createRequire(import.meta.url).resolve('weightnorm/package.json')), 'examples', 'voice');
  const voice = await audio.HifiGan.load(folder, { algorithm: 'direct' });
  await voice.synthesize(mel);
  const started = performance.now();
  let made = 0;
  while (performance.now() - started < 2000) {
    await voice.synthesize(mel);
    made += audioSeconds;
  }
  const seconds = (performance.now() - started) / 1000;
  voice.dispose();
  return made / seconds;
}
