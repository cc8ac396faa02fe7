import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { openPage } from './browser.mjs';
import { startApp } from './fake-electron.mjs';

const { audio, Device } = createRequire(import.meta.url)('weightnorm');
const voiceFolder = path.join(path.dirname(createRequire(import.meta.url).resolve('weightnorm/package.json')), 'examples', 'voice');
const folder = mkdtempSync(path.join(tmpdir(), 'weightnorm-electron-'));

let app;
let browser;
let page;
before(async () => {
  app = await startApp();
  browser = await openPage(app);
  page = browser.page;
});
after(async () => {
  await browser?.close();
  app?.close();
  rmSync(folder, { recursive: true, force: true });
});

const text = (selector) => page.locator(selector).textContent();
const status = (pattern) =>
  page.waitForFunction((source) => new RegExp(source).test(document.getElementById('status').textContent), pattern, { timeout: 60_000 });
const lastOutcome = (call) => app.state.outcomes.findLast((entry) => entry.call === call).outcome;
/** A card's picture: lightness in rows of 64 columns, 20 rows. */
const picture = (card) =>
  page.evaluate((selector) => {
    const small = new OffscreenCanvas(64, 20);
    const context = small.getContext('2d');
    context.drawImage(document.querySelector(`${selector} canvas`), 0, 0, 64, 20);
    const { data } = context.getImageData(0, 0, 64, 20);
    return Array.from({ length: 64 * 20 }, (_, i) => data[4 * i] + data[4 * i + 1] + data[4 * i + 2]);
  }, card);
const deviation = (values) => {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
};
const correlation = (a, b) => {
  const mean = (values) => values.reduce((x, y) => x + y, 0) / values.length;
  const [meanA, meanB] = [mean(a), mean(b)];
  return a.reduce((sum, value, i) => sum + (value - meanA) * (b[i] - meanB), 0) / a.length / deviation(a) / deviation(b);
};

test('the window is isolated, sandboxed, without Node, and goes nowhere', async () => {
  const { state } = app;
  const [window] = state.windows;
  assert.equal(state.sandboxed, true);
  const { contextIsolation, sandbox, nodeIntegration, webSecurity } = window.options.webPreferences;
  assert.deepEqual(
    { contextIsolation, sandbox, nodeIntegration, webSecurity },
    { contextIsolation: true, sandbox: true, nodeIntegration: false, webSecurity: undefined },
  );
  assert.deepEqual(window.webContents.windowOpen({ url: 'https://example.org' }), { action: 'deny' });
  let stopped = 0;
  for (const event of ['will-navigate', 'will-attach-webview']) window.webContents.emit(event, { preventDefault: () => stopped++ });
  assert.equal(stopped, 2);
  let allowed;
  state.permission({}, 'microphone', (decision) => (allowed = decision));
  assert.equal(allowed, false);
});

test('only files of the page are served, under a strict policy', async () => {
  const serve = app.state.servers.get('app');
  const served = await serve(new Request('app://weightnorm/'));
  const policy = served.headers.get('content-security-policy');
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe|\*|data:|https?:/);
  for (const place of ['/../package.json', '/%2e%2e/package.json', '/package.json', '/constructor'])
    assert.equal((await serve(new Request(`app://weightnorm${place}`))).status, 404);
});

test('calls from elsewhere, and calls with bad arguments, are refused', async () => {
  for (const url of ['https://example.org/', 'app://weightnorm.example.org/', 'file:///etc/passwd'])
    await assert.rejects(app.invoke('sample', [], url), /sample was called from/);
  for (const bad of [undefined, null, {}, { recording: 1 }, { recording: '1', device: 'cpu' }, { recording: 1, device: 'gpu' }]) {
    const outcome = await app.invoke('synthesize', [bad]);
    assert.equal(outcome.code, 'ERR_ARGUMENT');
  }
  assert.equal((await app.invoke('synthesize', [{ recording: 99, device: 'cpu' }])).code, 'ERR_STATE');
});

test('the page has the narrow API and nothing of Node', async () => {
  assert.deepEqual(await page.evaluate(() => Object.keys(window.weightnorm).sort()), ['cancel', 'devices', 'onProgress', 'open', 'sample', 'synthesize']);
  assert.deepEqual(await page.evaluate(() => [typeof window.require, typeof window.process, typeof window.electron]), ['undefined', 'undefined', 'undefined']);
});

test('devices are offered, and one that is not here says why', async () => {
  const choices = await page.locator('#device option').evaluateAll((options) => options.map(({ value, disabled, title }) => ({ value, disabled, title })));
  const usable = Device.list().map(({ type }) => type);
  assert.deepEqual(
    choices
      .filter(({ disabled }) => !disabled)
      .map(({ value }) => value)
      .sort(),
    usable.sort(),
  );
  for (const { title } of choices.filter(({ disabled }) => disabled)) assert.match(title, /Metal/);
  assert.equal(await page.locator('#synthesize').isDisabled(), true);
});

test('the sample is shown, resynthesised and shown again, by keyboard alone', async () => {
  await page.locator('#open').focus();
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await status('sample-1.wav is open');
  assert.match(await text('#before .facts'), /sample-1\.wav · 3\.\d\d s · 16000 Hz/);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'synthesize');
  assert.ok(deviation(await picture('#before')) > 60);
  await page.keyboard.press('Enter');
  await status('mean log-mel difference');
  assert.match(await text('#after .facts'), /× real time/);
  assert.ok(correlation(await picture('#before'), await picture('#after')) > 0.9);

  const { value } = lastOutcome('synthesize');
  const voice = await audio.HifiGan.load(voiceFolder, { device: Device.get(value.device) });
  const { channels } = await audio.readWav(path.join(voiceFolder, 'sample-1.wav'));
  const expected = await voice.synthesize(audio.melSpectrogram(channels[0], voice.melConfig));
  assert.equal(value.samples.length, expected.length);
  assert.ok(expected.every((sample, i) => Math.abs(sample - value.samples[i]) < 1e-5));
  const distance = audio.melDistance(audio.melSpectrogram(channels[0], voice.melConfig), audio.melSpectrogram(expected, voice.melConfig));
  assert.ok(Math.abs(value.distance - distance) < 1e-3);
});

test('both sounds are heard, stop, and start where the slider is', async () => {
  for (const card of ['#before', '#after']) {
    const play = page.locator(`${card} .play`);
    await page.locator(`${card} .seek input`).fill('0.4');
    await play.click();
    await page.waitForFunction(() => window.testHeard() > 0.01, undefined, { timeout: 10_000 });
    await page.waitForFunction((selector) => Number(document.querySelector(`${selector} .seek input`).value) > 0.45, card);
    assert.equal(await play.textContent(), 'Stop');
    await play.click();
    assert.equal(await play.textContent(), 'Play');
  }
});

test('a stereo recording of another rate is mixed and resampled', async () => {
  const rate = 44_100;
  const file = path.join(folder, 'sweep.wav');
  const left = Float32Array.from({ length: 2 * rate }, (_, i) => 0.4 * Math.sin(2 * Math.PI * (200 + 500 * (i / rate)) * (i / rate)));
  await audio.writeWav(file, [left, left.map((value) => value / 2)], rate);
  app.state.file = file;
  await page.keyboard.press('Control+o');
  await status('sweep.wav is open');
  assert.match(await text('#before .facts'), /sweep\.wav · 2\.00 s · 44100 Hz, resampled to 16000 Hz/);
  assert.equal(await page.locator('#after .play').isDisabled(), true);
  const { value } = lastOutcome('open');
  assert.equal(JSON.stringify(value).includes(folder), false);
  assert.equal(value.samples.length, 32_000);
});

test('what goes wrong is said, and what was open stays', async () => {
  const cases = [
    ['notes.wav', 'this is not a recording', /notes\.wav.*ERR_FORMAT/],
    ['missing.wav', null, /missing\.wav.*ERR_IO/],
  ];
  for (const [name, content, pattern] of cases) {
    app.state.file = path.join(folder, name);
    if (content) writeFileSync(app.state.file, content);
    await page.locator('#open').click();
    await page.locator('#error').waitFor({ state: 'visible' });
    assert.match(await text('#error'), pattern);
    assert.equal((await text('#error')).includes(folder), false);
    assert.equal(await page.locator('#error').getAttribute('role'), 'alert');
    assert.match(await text('#before .facts'), /sweep\.wav/);
    assert.equal(await page.locator('#synthesize').isEnabled(), true);
  }
  app.state.file = null;
  await page.locator('#open').click();
  await status('No file was chosen');
  assert.equal(await page.locator('#error').isVisible(), false);
});

test('a long synthesis shows its progress and is cancelled by Escape', async () => {
  const { channels, sampleRate } = await audio.readWav(path.join(voiceFolder, 'sample-1.wav'));
  const [once] = channels;
  const long = new Float32Array(once.length * 30);
  for (let i = 0; i < 30; i++) long.set(once, i * once.length);
  app.state.file = path.join(folder, 'long.wav');
  await audio.writeWav(app.state.file, long, sampleRate);
  await page.locator('#open').click();
  await status('long.wav is open');
  await page.locator('#synthesize').click();
  await page.waitForFunction(() => document.getElementById('progress').value > 0, undefined, { timeout: 60_000 });
  assert.equal(await page.locator('#synthesize').isDisabled(), true);
  await page.keyboard.press('Escape');
  await status('Cancelled');
  assert.equal(lastOutcome('synthesize').code, 'ERR_ABORTED');
  assert.equal(await page.locator('#progress').isVisible(), false);
  assert.equal(await page.locator('#cancel').isDisabled(), true);
  assert.equal(await page.locator('#error').isVisible(), false);
});

test('an engine that dies is said, and started again', async () => {
  await page.locator('#synthesize').click();
  await page.waitForFunction(() => document.getElementById('progress').value > 0, undefined, { timeout: 60_000 });
  app.state.engines.at(-1).child.kill('SIGKILL');
  await page.locator('#error').waitFor({ state: 'visible' });
  assert.match(await text('#error'), /the engine ended.*ERR_ENGINE/);
  await page.locator('#sample').click();
  await status('sample-1.wav is open');
  await page.locator('#synthesize').click();
  await status('mean log-mel difference');
  assert.equal(app.state.engines.length, 2);
});

test('text is readable in light and dark', async () => {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    const ratios = await page.evaluate(() => {
      const style = getComputedStyle(document.documentElement);
      const light = (name) => {
        const part = (at) =>
          Number.parseInt(
            style
              .getPropertyValue(name)
              .trim()
              .slice(at, at + 2),
            16,
          ) / 255;
        const linear = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
        return 0.2126 * linear(part(1)) + 0.7152 * linear(part(3)) + 0.0722 * linear(part(5));
      };
      const pairs = [
        ['--ink', '--page'],
        ['--ink', '--card'],
        ['--dim', '--card'],
        ['--dim', '--page'],
        ['--dim', '--empty'],
        ['--on-accent', '--accent'],
        ['--bad', '--bad-page'],
        ['--ink', '--button'],
      ];
      return pairs.map(([text, ground]) => {
        const [a, b] = [light(text), light(ground)];
        return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      });
    });
    for (const ratio of ratios) assert.ok(ratio >= 4.5, `${colorScheme}: ${ratios}`);
    if (process.env.SCREENSHOTS) await page.screenshot({ path: path.join(process.env.SCREENSHOTS, `electron-${colorScheme}.jpg`), quality: 80 });
  }
});

test('a narrow window needs no scrolling sideways', async () => {
  const size = page.viewportSize();
  await page.setViewportSize({ width: 420, height: 800 });
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 420);
  await page.setViewportSize(size);
});

test('controls have names, and the page logged no problem', async () => {
  const unnamed = await page
    .locator('button, select, input, canvas[role=img], progress')
    .evaluateAll((elements) => elements.filter((e) => !(e.ariaLabel ?? e.labels?.[0]?.textContent ?? e.textContent)).map((e) => e.outerHTML));
  assert.deepEqual(unnamed, []);
  assert.deepEqual(browser.problems, []);
});
