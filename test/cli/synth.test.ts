import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { audio, io } from 'weightnorm';
import { runCli } from '../support/cli';
import { fmtBody, temporaryFolder, wavBytes } from '../support/files';
import { readGolden } from '../support/golden';

const folder = temporaryFolder();
const sample = 'examples/voice/sample-2.wav';

test('a recording is resynthesised: the WAV, and a report of how', async () => {
  const output = folder.file('out.wav');
  const { code, stdout, stderr } = await runCli(['synth', sample, '-o', output, '--device', 'cpu', '--json']);
  expect([code, stderr]).toEqual([0, '']);
  const report = JSON.parse(stdout);
  const { sampleRate, channels } = await audio.readWav(output);
  expect(sampleRate).toBe(16000);
  expect(channels.length).toBe(1);
  const expected = readGolden('vocoder.safetensors').get('speed-dial-empty.out')?.data as Float64Array;
  expect(channels[0]?.length).toBe(expected.length);
  // Rounding to 16 bits, and a front end within 1e-3 of torch's.
  expect(channels[0]?.reduce((worst, value, i) => Math.max(worst, Math.abs(value - (expected[i] as number))), 0)).toBeLessThan(5e-4);
  expect(report).toMatchObject({ output, device: 'cpu', sampleRate: 16000, audioSeconds: expected.length / 16000 });
  expect(report.timesRealTime).toBeCloseTo(report.audioSeconds / report.seconds, 6);
  expect(report.melDistance).toBeGreaterThan(0.05);
  expect(report.melDistance).toBeLessThan(0.5);
});

test('a spectrogram as .npy gives the samples that its recording gives', async () => {
  const config = JSON.parse(readFileSync('examples/voice/config.json', 'utf8')) as audio.MelConfig;
  const { data, mels, frames } = audio.melSpectrogram((await audio.readWav(sample)).channels[0] as Float32Array, config);
  const input = folder.file('mel.npy');
  await io.saveNpy(input, data, [1, mels, frames]);
  const [fromMel, fromWav] = [folder.file('from-mel.wav'), folder.file('from-wav.wav')];
  expect((await runCli(['synth', input, '-o', fromMel, '--device', 'cpu'])).code).toBe(0);
  const { stdout } = await runCli(['synth', sample, '-o', fromWav, '--device', 'cpu', '--model', 'examples/voice']);
  expect(readFileSync(fromMel).equals(readFileSync(fromWav))).toBe(true);
  expect(stdout).toMatch(
    /^wrote +.*from-wav\.wav\ndevice +cpu \(.*\).*\naudio +3\.22 s at 16000 Hz\ntime +[\d.]+ s, [\d.]+ times real time\ndistance +0\.\d{4} mean log-mel, input to output\n$/,
  );
});

test('channels are mixed to one', async () => {
  const samples = (await audio.readWav(sample)).channels[0]?.subarray(0, 8000) as Float32Array;
  const silence = new Float32Array(samples.length);
  const [stereo, mono] = [folder.file('stereo.wav'), folder.file('mono.wav')];
  await audio.writeWav(stereo, [samples, silence], 16000, { format: 'float32' });
  await audio.writeWav(
    mono,
    samples.map((value) => value / 2),
    16000,
    { format: 'float32' },
  );
  const outputs = [];
  for (const input of [stereo, mono]) {
    const output = folder.file('mixed-out.wav');
    expect((await runCli(['synth', input, '-o', output, '--device', 'cpu'])).code).toBe(0);
    outputs.push(readFileSync(output));
  }
  expect(outputs[0]?.equals(outputs[1] as Buffer)).toBe(true);
});

test('a stereo recording of another rate is mixed and resampled', async () => {
  const original = (await audio.readWav(sample)).channels[0]?.subarray(0, 16_000) as Float32Array;
  const faster = audio.resample(original, 16_000, 44_100);
  const [input, output] = [folder.file('faster.wav'), folder.file('from-faster.wav')];
  await audio.writeWav(input, [faster.map((x) => 1.5 * x), faster.map((x) => 0.5 * x)], 44_100);
  const { code, stdout } = await runCli(['synth', input, '-o', output, '--device', 'cpu', '--json']);
  expect(code).toBe(0);
  const json = JSON.parse(stdout);
  expect(json).toMatchObject({ resampledFrom: 44_100, sampleRate: 16_000 });
  const config = JSON.parse(readFileSync('examples/voice/config.json', 'utf8')) as audio.MelConfig;
  const made = (await audio.readWav(output)).channels[0] as Float32Array;
  expect(Math.abs(made.length - original.length)).toBeLessThan(256);
  // As near to the recording as what is made of it without a detour.
  expect(audio.melDistance(audio.melSpectrogram(original.subarray(0, made.length), config), audio.melSpectrogram(made, config))).toBeLessThan(0.5);
});

test('one frame is enough to synthesise, if not to measure', async () => {
  const input = folder.file('one.npy');
  await io.saveNpy(input, new Float32Array(80).fill(-5), [80, 1]);
  const { code, stdout } = await runCli(['synth', input, '-o', folder.file('one.wav'), '--device', 'cpu', '--json']);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ audioSeconds: 256 / 16000, melDistance: null });
});

describe('what cannot be synthesised is one line on stderr, exit code 1, and no file', () => {
  test.each<[string, () => Promise<string[]> | string[], RegExp]>([
    [
      'too few samples of another rate',
      () => [folder.file('rate.wav', wavBytes({ sampleRate: 44100, data: Buffer.alloc(2000) }))],
      /rate\.wav: has 363 samples at 16000 Hz; the model's spectrogram needs at least 385/,
    ],
    [
      'a sample rate far away',
      () => [folder.file('slow.wav', wavBytes({ sampleRate: 1, data: Buffer.alloc(9000) }))],
      /from is 1 Hz and to is 16000 Hz; one may be at most 256 times the other/,
    ],
    [
      'too few samples',
      () => [folder.file('short.wav', wavBytes({ data: Buffer.alloc(200) }))],
      /short\.wav: has 100 samples; the model's spectrogram needs at least 385/,
    ],
    ['12-bit sound', () => [folder.file('old.wav', wavBytes({ bits: 12, fmt: fmtBody({ bits: 12 }) }))], /old\.wav: has 12-bit PCM samples/],
    ['a missing file', () => ['nowhere.wav'], /nowhere\.wav: cannot be opened/],
    [
      'a wrong number of bands',
      async () => {
        await io.saveNpy(folder.file('bands.npy'), new Float32Array(640), [64, 10]);
        return [folder.file('bands.npy')];
      },
      /mel has 64 bands; this model takes 80/,
    ],
    [
      'a spectrogram of the wrong rank',
      async () => {
        await io.saveNpy(folder.file('flat.npy'), new Float32Array(80), [80]);
        return [folder.file('flat.npy')];
      },
      /flat\.npy: has shape \[80\]; a spectrogram has \[bands, frames\]/,
    ],
    [
      'a spectrogram with NaN',
      async () => {
        await io.saveNpy(folder.file('nan.npy'), new Float32Array(800).fill(Number.NaN), [80, 10]);
        return [folder.file('nan.npy')];
      },
      /is NaN; samples must be finite/,
    ],
    ['a folder that is no model', () => [sample, '--model', folder.path], /config\.json: cannot be opened/],
  ])('%s', async (_, args, message) => {
    const output = folder.file('never.wav');
    const { code, stdout, stderr } = await runCli(['synth', ...(await args()), '-o', output, '--device', 'cpu']);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^weightnorm: [^\n]+\n$/);
    expect(existsSync(output)).toBe(false);
  });

  test('an output that cannot be written is noticed before the work', async () => {
    const { code, stderr } = await runCli(['synth', sample, '-o', folder.file('nowhere/out.wav'), '--device', 'cpu']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/nowhere\/out\.wav: cannot be written: there is no such file or directory/);
    expect((await runCli(['synth', 'nowhere.wav', '-o', folder.path, '--device', 'cpu'])).stderr).toMatch(/cannot be written: it is a directory/);
  });
});

test('Ctrl-C ends the work: exit code 1, one line, no file', async () => {
  const long = folder.file('long.npy');
  await io.saveNpy(long, new Float32Array(80 * 20_000).fill(-4), [80, 20_000]);
  const output = folder.file('interrupted.wav');
  const child = spawn(process.execPath, ['dist/cli/main.js', 'synth', long, '-o', output, '--device', 'cpu'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (text) => (stderr += text));
  const started = Date.now();
  const timer = setTimeout(() => child.kill('SIGINT'), 1500);
  const code = await new Promise((resolve) => child.on('exit', resolve));
  clearTimeout(timer);
  expect(code).toBe(1);
  expect(Date.now() - started).toBeGreaterThanOrEqual(1400);
  expect(stderr).toBe('weightnorm: synthesis was aborted\n');
  expect(folder.list().filter((name) => name.startsWith('interrupted') || name.startsWith('.'))).toEqual([]);
});
