// Opens the app's page in headless Chromium: served on this machine by the app's own protocol handler with its own
// Content-Security-Policy, with the app's own preload script, and calls that go to the app's own handlers.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { chromium } from 'playwright-core';

const args = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'];
args.push('--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required');

/** Float32Arrays cross to the page as base64. */
const encode = (_key, value) =>
  value instanceof Float32Array ? { float32: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64') } : value;

/** In the page, before its own scripts: what Electron gives a sandboxed preload script, and an ear on what is played. */
function prepare(preload) {
  const decode = (_key, value) => (typeof value?.float32 === 'string' ? new Float32Array(Uint8Array.fromBase64(value.float32).buffer) : value);
  const listeners = new Map();
  const electron = {
    ipcRenderer: {
      invoke: async (call, ...argument) => {
        const { error, outcome } = JSON.parse(await window.testInvoke(call, JSON.stringify(argument)), decode);
        if (error) throw new Error(error);
        return outcome;
      },
      on: (channel, listener) => listeners.set(channel, [...(listeners.get(channel) ?? []), listener]),
      off: (channel, listener) =>
        listeners.set(
          channel,
          (listeners.get(channel) ?? []).filter((other) => other !== listener),
        ),
    },
    contextBridge: { exposeInMainWorld: (name, api) => Object.defineProperty(window, name, { value: Object.freeze(api) }) },
  };
  window.testEvent = (channel, value) => {
    for (const listener of listeners.get(channel) ?? []) listener({}, value);
  };
  window.testHeard = () => {
    const samples = new Float32Array(2048);
    window.testEar?.getFloatTimeDomainData(samples);
    return Math.max(...samples.map(Math.abs));
  };
  const { connect } = AudioNode.prototype;
  AudioNode.prototype.connect = function (target, ...rest) {
    if (target instanceof AudioDestinationNode) {
      window.testEar = this.context.createAnalyser();
      connect.call(this, window.testEar);
    }
    return connect.call(this, target, ...rest);
  };
  const load = (name) => {
    if (name !== 'electron') throw new Error(`a sandboxed preload script cannot load ${name}`);
    return electron;
  };
  const exports = {};
  new Function('require', 'process', 'exports', 'module', preload)(load, {}, exports, { exports });
}

/** @returns the page, the problems that it logged, and what ends it all */
export async function openPage(app) {
  const { state } = app;
  const [window] = state.windows;
  const serve = state.servers.get('app');
  const server = createServer(async (request, response) => {
    const answer = await serve(new Request(new URL(request.url, 'app://weightnorm/')));
    response.writeHead(answer.status, Object.fromEntries(answer.headers));
    response.end(Buffer.from(await answer.arrayBuffer()));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

  const profile = mkdtempSync(path.join(tmpdir(), 'weightnorm-chromium-'));
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
  const end = () => {
    server.close();
    rmSync(profile, { recursive: true, force: true });
  };
  const context = await chromium.launchPersistentContext(profile, { executablePath, args, viewport: { width: 1120, height: 760 } }).catch((error) => {
    end();
    throw error;
  });
  const page = context.pages()[0] ?? (await context.newPage());
  const problems = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type()) && !message.location().url.endsWith('/favicon.ico'))
      problems.push(`${message.text()} ${message.location().url}`);
  });
  page.on('pageerror', (error) => problems.push(String(error)));
  await page.exposeFunction('testInvoke', async (call, argument) => {
    try {
      return JSON.stringify({ outcome: await app.invoke(call, JSON.parse(argument)) }, encode);
    } catch (error) {
      return JSON.stringify({ error: error.message });
    }
  });
  state.onEvent = (channel, value) => void page.evaluate(([name, payload]) => window.testEvent(name, payload), [channel, value]).catch(() => {});
  await page.addInitScript(prepare, readFileSync(window.options.webPreferences.preload, 'utf8'));
  await page.goto(`http://127.0.0.1:${server.address().port}${new URL(window.url).pathname}`);
  return {
    page,
    problems,
    async close() {
      await context.close();
      end();
    },
  };
}
