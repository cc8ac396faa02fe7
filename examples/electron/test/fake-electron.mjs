// What main.ts uses of Electron, on plain Node: the app's own main process and engine run, with a child process for the utility
// process. Nothing here draws; the page is opened by browser.mjs.
import { fork } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const dist = fileURLToPath(new URL('../dist', import.meta.url));

/** Runs dist/main/main.js and returns what it set up. */
export async function startApp() {
  const app = Object.assign(new EventEmitter(), { enableSandbox: () => (state.sandboxed = true), whenReady: () => Promise.resolve(), quit: () => {} });
  const state = {
    app,
    sandboxed: false,
    schemes: [],
    servers: new Map(),
    handlers: new Map(),
    windows: [],
    permission: null,
    /** What the dialog answers next. */
    file: null,
    engines: [],
    /** Every outcome that was given to the page, by its call. */
    outcomes: [],
    onEvent: () => {},
  };

  class WebContents extends EventEmitter {
    setWindowOpenHandler(handler) {
      this.windowOpen = handler;
    }
    send(channel, value) {
      state.onEvent(channel, structuredClone(value));
    }
  }
  class BrowserWindow extends EventEmitter {
    constructor(options) {
      super();
      this.options = options;
      this.webContents = new WebContents();
      state.windows.push(this);
      app.emit('web-contents-created', {}, this.webContents);
    }
    async loadURL(url) {
      this.url = url;
    }
  }
  const electron = {
    app,
    BrowserWindow,
    dialog: { showOpenDialog: async () => ({ canceled: state.file === null, filePaths: state.file === null ? [] : [state.file] }) },
    ipcMain: { handle: (call, handler) => state.handlers.set(call, handler) },
    nativeTheme: { shouldUseDarkColors: false },
    protocol: { registerSchemesAsPrivileged: (schemes) => state.schemes.push(...schemes), handle: (scheme, server) => state.servers.set(scheme, server) },
    session: { defaultSession: { setPermissionRequestHandler: (handler) => (state.permission = handler) } },
    utilityProcess: {
      fork(file, args, options) {
        // Structured clones, as between Electron's processes.
        const child = fork(file, args, { serialization: 'advanced' });
        child.postMessage = (message) => child.send(message);
        state.engines.push({ child, file, options });
        return child;
      },
    },
  };
  const place = require.resolve('electron');
  require.cache[place] = { id: place, filename: place, loaded: true, exports: electron };
  require(path.join(dist, 'main', 'main.js'));
  await new Promise(setImmediate);
  return {
    state,
    /** A call as ipcMain receives it from a frame. */
    async invoke(call, args, url = 'app://weightnorm/') {
      const outcome = structuredClone(await state.handlers.get(call)({ senderFrame: { url } }, ...structuredClone(args)));
      state.outcomes.push({ call, outcome });
      return outcome;
    },
    close: () => app.emit('will-quit'),
  };
}
