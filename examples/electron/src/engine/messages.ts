import type { DeviceChoice, DeviceType, Outcome, Recording, Synthesis } from '../contract.js';

/** What the main process asks of the engine's process. `path` stays on this side of the page. */
export interface Requests {
  devices: { argument: null; result: DeviceChoice[] };
  load: { argument: { path: string }; result: Recording };
  sample: { argument: null; result: Recording };
  synthesize: { argument: { recording: number; device: DeviceType }; result: Synthesis };
  cancel: { argument: null; result: null };
}

export type Kind = keyof Requests;
export type Request<K extends Kind = Kind> = { [Name in K]: { id: number; kind: Name; argument: Requests[Name]['argument'] } }[K];
export type Reply = { id: number; outcome: Outcome<Requests[Kind]['result']> } | { progress: number };
