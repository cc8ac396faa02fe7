import { type audio, Device } from 'weightnorm';
import { values } from '../support/random';
import { frames, join, smallVocoder } from '../support/small-vocoders';
import { controlFile } from '../support/softmetal';

/** What test/softmetal/node/control.cc offers. */
interface Control {
  set(name: string, value: number): void;
  reset(): void;
  takeViolations(): string;
}
const control: Control = require(controlFile);
const device = Device.get('metal');
const vocoder = smallVocoder('V3', device, 'direct');
const mel = { data: values(5 * 14, 5, 'float32', 2), mels: 5, frames: 14 };
let expected: Float32Array;
beforeAll(async () => {
  expected = await vocoder.synthesize(mel);
});
afterEach(() => {
  control.reset();
  expect(control.takeViolations()).toBe('');
});

const rest = async (stream: audio.Synthesizer, parts: Float32Array[], from: number) =>
  join([...parts, await stream.push(frames(mel, from, 14)), await stream.flush()]);

async function failNextCommit(): Promise<void> {
  await device.synchronize();
  control.set('fail_commit_code', 3);
  control.set('fail_commit', 1);
}

test('a command buffer that fails under several streams is computed again for each of them', async () => {
  const streams = [vocoder.stream(), vocoder.stream()];
  const starts = await Promise.all(streams.map((stream) => stream.push(frames(mel, 0, 12))));
  await failNextCommit();
  const middles = await Promise.all(streams.map((stream) => stream.push(frames(mel, 12, 13))));
  for (const [i, stream] of streams.entries()) {
    expect(await rest(stream, [starts[i] as Float32Array, middles[i] as Float32Array], 13)).toEqual(expected);
  }
});

test('a stream whose command buffer fails ends with its error; another goes on with the same bits', async () => {
  const [one, other] = [vocoder.stream(), vocoder.stream()];
  const start = await other.push(frames(mel, 0, 12));
  await one.push(frames(mel, 0, 12));
  await failNextCommit();
  await expect(one.push(frames(mel, 12, 13))).rejects.toMatchObject({ code: 'ERR_EXECUTION' });
  await expect(one.push(frames(mel, 13, 14))).rejects.toMatchObject({ code: 'ERR_EXECUTION', message: expect.stringMatching(/^push: /) });
  expect(await rest(other, [start], 12)).toEqual(expected);
});

test('a fault before the first samples ends no stream that is computed beside the one at fault', async () => {
  const streams = [vocoder.stream(), vocoder.stream(), vocoder.stream()];
  // Nothing was pushed; then less than the look-ahead, of which no sample says whether it was computed.
  const cuts = [0, 2, 5];
  for (const [i, from] of cuts.entries()) {
    const to = cuts[i + 1] ?? 9;
    await failNextCommit();
    expect(await Promise.all(streams.map((stream) => stream.push(frames(mel, from, to))))).toEqual(streams.map(() => new Float32Array(0)));
  }
  for (const stream of streams) expect(await rest(stream, [], 9)).toEqual(expected);
});

test('streams whose state is copied, because others beside them ended, outlive a fault of the copy', async () => {
  const streams = Array.from({ length: 4 }, () => vocoder.stream());
  const starts = await Promise.all(streams.map((stream) => stream.push(frames(mel, 0, 12))));
  await failNextCommit();
  for (const stream of streams.slice(1)) stream.dispose();
  await device.synchronize().catch(() => {});
  expect(await rest(streams[0] as audio.Synthesizer, [starts[0] as Float32Array], 12)).toEqual(expected);
});

test('a fault, an abort and a wrong shape in one batch: each stream has its own end, the others go on with the same bits', async () => {
  const controller = new AbortController();
  const streams = [vocoder.stream(), vocoder.stream({ signal: controller.signal }), vocoder.stream()] as const;
  const starts = await Promise.all(streams.map((stream) => stream.push(frames(mel, 0, 12))));
  await failNextCommit();
  const waiting = streams.map((stream) => stream.push(frames(mel, 12, 13)));
  const misshapen = streams[2].push({ data: new Float32Array(6), mels: 6, frames: 1 });
  // The forward of all three is queued after this turn.
  await new Promise((resolve) => setImmediate(resolve));
  controller.abort();
  const results = await Promise.allSettled([...waiting, misshapen]);
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'rejected']);
  expect([results[1], results[3]]).toMatchObject([{ reason: { code: 'ERR_ABORTED' } }, { reason: { code: 'ERR_SHAPE' } }]);
  for (const i of [0, 2] as const) {
    const middle = (results[i] as PromiseFulfilledResult<Float32Array>).value;
    expect(await rest(streams[i], [starts[i] as Float32Array, middle], 13)).toEqual(expected);
  }
});
