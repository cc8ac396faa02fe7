import { contextBridge, ipcRenderer } from 'electron';
import type { Api, Argument, Call, Outcome, Result } from '../contract.js';

const call = <C extends Call>(channel: C, ...argument: Argument<C>): Promise<Outcome<Result<C>>> => ipcRenderer.invoke(channel, ...argument);

const api: Api = {
  devices: () => call('devices'),
  open: () => call('open'),
  sample: () => call('sample'),
  synthesize: ({ recording, device }) => call('synthesize', { recording, device }),
  cancel: () => call('cancel'),
  onProgress: (listener) => {
    // The event itself would give the page ipcRenderer.
    const pass = (_event: unknown, part: number): void => listener(part);
    ipcRenderer.on('progress', pass);
    return () => {
      ipcRenderer.off('progress', pass);
    };
  },
};

contextBridge.exposeInMainWorld('weightnorm', api);
