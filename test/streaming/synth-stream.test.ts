import { spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { audio, io, WeightNormError } from 'weightnorm';
import { runCli } from '../support/cli';
import { temporaryFolder } from '../support/files';
import { values } from '../support/random';

const folder = temporaryFolder();
const sample = 'examples/voice/sample-1.wav';
// Seconds of speech, which the software Metal would take minutes for.
const onCpu = { ...process.env, WEIGHTNORM_DEVICE: 'cpu' };

test('synth --stream writes the very file that synth writes, with --algorithm direct', async () => {
  const [offline, streamed] = [folder.file('offline.wav'), folder.file('streamed.wav')];
  expect((await runCli(['synth', sample, '-o', offline, '--device', 'cpu', '--algorithm', 'direct'])).code).toBe(0);
  const { code, stdout, stderr } = await runCli(['synth', sample, '-o', streamed, '--device', 'cpu', '--algorithm', 'direct', '--stream']);
  expect([code, stderr]).toEqual([0, '']);
  expect(stdout).toMatch(/\nfirst +audio after \d+ ms\n/);
  expect(readFileSync(streamed).equals(readFileSync(offline))).toBe(true);
});

test('the command as people type it leaves the offline file, byte for byte', () => {
  const files = ['--stream', undefined].map((stream, i) => {
    const output = folder.file(`typed-${i}.wav`);
    const args = ['--no', 'weightnorm', 'synth', sample, ...(stream ? [stream] : []), '-o', output, '--algorithm', 'direct'];
    const { status, stdout } = spawnSync('npx', args, { encoding: 'utf8', env: onCpu });
    expect([status, stdout]).toEqual([0, expect.stringContaining(output)]);
    return readFileSync(output);
  });
  expect(files[0]?.length).toBeGreaterThan(44);
  expect(files[0]?.equals(files[1] as Buffer)).toBe(true);
});

test('with the default algorithm the samples differ by at most one step of 16 bits; the first audio comes early', async () => {
  const [offline, streamed] = [folder.file('a.wav'), folder.file('b.wav')];
  await runCli(['synth', sample, '-o', offline, '--device', 'cpu']);
  const { stdout } = await runCli(['synth', sample, '-o', streamed, '--device', 'cpu', '--stream', '--json']);
  const report = JSON.parse(stdout);
  expect(report.firstAudioSeconds).toBeGreaterThan(0);
  expect(report.firstAudioSeconds).toBeLessThan(report.seconds / 2);
  const [a, b] = [(await audio.readWav(offline)).channels[0], (await audio.readWav(streamed)).channels[0]] as [Float32Array, Float32Array];
  expect(a.length).toBe(b.length);
  expect(a.reduce((worst, value, i) => Math.max(worst, Math.abs(value - (b[i] as number))), 0)).toBeLessThanOrEqual(1 / 32768);
});

test('an interrupted or failing stream leaves no file', async () => {
  const long = folder.file('long.npy');
  await io.saveNpy(long, new Float32Array(80 * 20_000).fill(-4), [80, 20_000]);
  const output = folder.file('interrupted.wav');
  const child = spawn(process.execPath, ['dist/cli/main.js', 'synth', long, '-o', output, '--device', 'cpu', '--stream'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  child.stderr.on('data', (text) => (stderr += text));
  // Once it writes, it listens for the signal.
  const timer = setInterval(() => {
    if (!folder.list().some((name) => name.endsWith('.tmp'))) return;
    clearInterval(timer);
    child.kill('SIGINT');
  }, 100);
  expect(await new Promise((resolve) => child.on('exit', resolve))).toBe(1);
  clearInterval(timer);
  // While a piece is computed, or between two.
  expect(stderr).toMatch(/^weightnorm: (push: )?the stream was aborted\n$/);
  await io.saveNpy(folder.file('nan.npy'), new Float32Array(80 * 40).fill(Number.NaN), [80, 40]);
  const failed = await runCli(['synth', folder.file('nan.npy'), '-o', output, '--device', 'cpu', '--stream']);
  expect([failed.code, failed.stderr]).toEqual([1, expect.stringMatching(/sample 0 of channel 0 is NaN; samples must be finite/)]);
  expect(folder.list().filter((name) => name.startsWith('interrupted') || name.startsWith('.'))).toEqual([]);
  expect((await runCli(['synth', sample, '-o', output, '--algorithm', 'fast'])).code).toBe(2);
});

describe('writeWavStream', () => {
  const samples = values(1001, 4);
  const cut = function* () {
    for (let at = 0; at < samples.length; at += 100) yield samples.subarray(at, at + 100);
  };

  test.each(['pcm16', 'float32'] as const)('writes what writeWav writes, in %s', async (format) => {
    const [whole, pieces] = [folder.file('whole.wav'), folder.file('pieces.wav')];
    await audio.writeWav(whole, samples, 22050, { format });
    expect(await audio.writeWavStream(pieces, cut(), 22050, { format })).toBe(1001);
    expect(readFileSync(pieces).equals(readFileSync(whole))).toBe(true);
  });

  test('what fails leaves nothing, ends its source and says which sample', async () => {
    const file = folder.file('never.wav');
    let ended = false;
    const source = async function* () {
      try {
        yield samples;
        yield Float32Array.of(0, Number.POSITIVE_INFINITY);
        yield samples;
      } finally {
        ended = true;
      }
    };
    await expect(audio.writeWavStream(file, source(), 16000)).rejects.toMatchObject({
      code: 'ERR_ARGUMENT',
      message: expect.stringMatching(/sample 1002 of channel 0 is Infinity/),
    });
    expect(ended).toBe(true);
    await expect(audio.writeWavStream(file, [], 16000)).rejects.toMatchObject({ code: 'ERR_SHAPE' });
    await expect(audio.writeWavStream(file, [[1, 2] as never], 16000)).rejects.toMatchObject({ code: 'ERR_DTYPE' });
    const broken = async function* () {
      yield samples;
      throw new WeightNormError('ERR_ABORTED', 'enough');
    };
    await expect(audio.writeWavStream(file, broken(), 16000)).rejects.toMatchObject({ code: 'ERR_ABORTED' });
    expect(folder.list()).not.toContain('never.wav');
    expect(folder.list().some((name) => name.endsWith('.tmp'))).toBe(false);
  });
});

test('the example speaks while it synthesises', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['examples/streaming/speak.mjs', sample], { maxBuffer: 2 ** 26, env: onCpu });
  expect([status, stderr.toString()]).toEqual([0, expect.stringMatching(/^first audio after \d+ ms\n\d+ samples in \d+ ms\n$/)]);
  expect(stdout.length).toBe(2 * Number(/\n(\d+) samples/.exec(stderr.toString())?.[1]));
  const speech = new Int16Array(stdout.buffer.slice(stdout.byteOffset, stdout.byteOffset + stdout.length));
  expect(speech.some((value) => Math.abs(value) > 1000)).toBe(true);
});

test('the example writes several files at once, and one that fails does not disturb the others', async () => {
  const [output, broken] = [folder.file('records'), folder.file('broken.wav')];
  writeFileSync(broken, 'RIFF');
  const inputs = [sample, broken, 'examples/voice/sample-2.wav'];
  const { status, stdout } = spawnSync(process.execPath, ['examples/streaming/record.mjs', output, ...inputs], { encoding: 'utf8', env: onCpu });
  expect(status).toBe(1);
  expect(stdout).toMatch(/sample-1\.wav: \d+ samples\n.*broken\.wav: .+\n.*sample-2\.wav: \d+ samples\n/);
  expect(readdirSync(output).sort()).toEqual(['sample-1.wav', 'sample-2.wav']);
  const offline = folder.file('offline-2.wav');
  await runCli(['synth', 'examples/voice/sample-2.wav', '-o', offline, '--device', 'cpu', '--algorithm', 'direct']);
  expect(readFileSync(`${output}/sample-2.wav`).equals(readFileSync(offline))).toBe(true);
});
