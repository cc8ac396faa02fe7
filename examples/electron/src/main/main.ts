import path from 'node:path';
import { app, BrowserWindow, dialog, type IpcMainInvokeEvent, ipcMain, nativeTheme, protocol, session, utilityProcess } from 'electron';
import type { Call, Events } from '../contract.js';
import { EngineClient } from './engine-client.js';
import { handlers } from './handlers.js';
import { origin, scheme, servePage } from './pages.js';

const dist = path.resolve(__dirname, '..');

app.enableSandbox();
protocol.registerSchemesAsPrivileged([{ scheme, privileges: { standard: true, secure: true } }]);

// The page is one document: it goes nowhere, opens nothing and embeds nothing.
app.on('web-contents-created', (_event, contents) => {
  contents.on('will-navigate', (event) => event.preventDefault());
  contents.on('will-attach-webview', (event) => event.preventDefault());
  contents.setWindowOpenHandler(() => ({ action: 'deny' }));
});

let window: BrowserWindow | null = null;

function createWindow(): void {
  window = new BrowserWindow({
    width: 1120,
    height: 760,
    minWidth: 420,
    minHeight: 480,
    backgroundColor: nativeTheme.shouldUseDarkColors ? '#14161a' : '#f6f7f9',
    webPreferences: {
      preload: path.join(dist, 'preload', 'preload.js'),
      contextIsolation: true,
      sandbox: true,
      nodeIntegration: false,
    },
  });
  window.on('closed', () => {
    window = null;
  });
  void window.loadURL(`${origin}/`);
}

async function chooseFile(): Promise<string | null> {
  const options: Electron.OpenDialogOptions = { properties: ['openFile'], filters: [{ name: 'WAV', extensions: ['wav', 'wave'] }] };
  const { canceled, filePaths } = await (window ? dialog.showOpenDialog(window, options) : dialog.showOpenDialog(options));
  return canceled ? null : (filePaths[0] ?? null);
}

const engine = new EngineClient(() => utilityProcess.fork(path.join(dist, 'engine', 'engine.js'), [], { serviceName: 'weightnorm' }));
engine.onProgress = (part: Events['progress']) => window?.webContents.send('progress', part);

const trusted = ({ senderFrame }: IpcMainInvokeEvent): boolean => senderFrame?.url.startsWith(`${origin}/`) ?? false;
for (const [call, handler] of Object.entries(handlers(engine, chooseFile)) as [Call, (...argument: unknown[]) => Promise<unknown>][]) {
  ipcMain.handle(call, (event, ...argument) => {
    if (!trusted(event)) throw new Error(`${call} was called from ${event.senderFrame?.url}`);
    return handler(...argument);
  });
}

void app.whenReady().then(() => {
  session.defaultSession.setPermissionRequestHandler((_contents, _permission, decide) => decide(false));
  protocol.handle(scheme, servePage);
  createWindow();
  app.on('activate', () => {
    if (!window) createWindow();
  });
});
app.on('window-all-closed', () => {
  if (process.platform !== 'darwin') app.quit();
});
app.on('will-quit', () => engine.close());
