import type { Outcome } from '../contract.js';
import type { Kind, Reply, Requests } from '../engine/messages.js';

/** What is used of Electron's UtilityProcess. */
export interface EngineProcess {
  postMessage(message: unknown): void;
  on(event: 'message', listener: (message: unknown) => void): unknown;
  on(event: 'exit', listener: (code: number) => void): unknown;
  on(event: 'error', listener: (what: unknown) => void): unknown;
  kill(): boolean;
}

type Settle = (outcome: Outcome<Requests[Kind]['result']>) => void;

/** The engine's process as the main process sees it: started at the first request, and again after it ended. */
export class EngineClient {
  readonly #start: () => EngineProcess;
  readonly #pending = new Map<number, Settle>();
  #process: EngineProcess | null = null;
  #requests = 0;
  /** Called with the part of the running synthesis that is done. */
  onProgress: (part: number) => void = () => {};

  constructor(start: () => EngineProcess) {
    this.#start = start;
  }

  request<K extends Kind>(kind: K, argument: Requests[K]['argument']): Promise<Outcome<Requests[K]['result']>> {
    const id = ++this.#requests;
    return new Promise((resolve) => {
      this.#pending.set(id, resolve as Settle);
      this.#open().postMessage({ id, kind, argument });
    });
  }

  /** Ends the process; requests that wait are answered. */
  close(): void {
    this.#process?.kill();
  }

  #open(): EngineProcess {
    if (this.#process) return this.#process;
    const engine = this.#start();
    this.#process = engine;
    // One of the two may be all that comes, and both may.
    const end = (why: string): void => {
      if (this.#process !== engine) return;
      this.#process = null;
      const waiting = [...this.#pending.values()];
      this.#pending.clear();
      for (const settle of waiting) settle({ ok: false, code: 'ERR_ENGINE', message: `the engine ended (${why}); try again` });
    };
    engine.on('message', (message) => this.#receive(message as Reply));
    engine.on('exit', (code) => end(`code ${code}`));
    engine.on('error', (what) => end(what instanceof Error ? what.message : String(what)));
    return engine;
  }

  #receive(reply: Reply): void {
    if ('progress' in reply) {
      this.onProgress(reply.progress);
    } else {
      this.#pending.get(reply.id)?.(reply.outcome);
      this.#pending.delete(reply.id);
    }
  }
}
