import type { Argument, Call, Outcome, Result } from '../contract.js';
import type { EngineClient } from './engine-client.js';

/** One function a call of the contract. Arguments come from the page and are not trusted. */
export type Handlers = { [C in Call]: (...argument: Argument<C>) => Promise<Outcome<Result<C>>> };

/** @param chooseFile the path of a WAV file that the user picks, or null */
export function handlers(engine: EngineClient, chooseFile: () => Promise<string | null>): Handlers {
  return {
    devices: () => engine.request('devices', null),
    open: async () => {
      const path = await chooseFile();
      return path === null ? { ok: true, value: null } : engine.request('load', { path });
    },
    sample: () => engine.request('sample', null),
    synthesize: async (request) => {
      const { recording, device } = (request ?? {}) as Partial<typeof request>;
      if (!Number.isSafeInteger(recording) || (device !== 'metal' && device !== 'cpu'))
        return { ok: false, code: 'ERR_ARGUMENT', message: "synthesize takes { recording: an integer, device: 'metal' or 'cpu' }" };
      return engine.request('synthesize', { recording: recording as number, device });
    },
    cancel: async () => {
      const outcome = await engine.request('cancel', null);
      return outcome.ok ? { ok: true, value: undefined } : outcome;
    },
  };
}
