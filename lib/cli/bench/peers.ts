import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { saveSafetensors } from '../../io/safetensors.js';
import { packageRoot } from '../../native.js';
import type { Case, Variant } from './report.js';
import type { Workload } from './subjects.js';

export const peerNames = ['pytorch', 'mlx', 'onnxruntime'] as const;
export type PeerName = (typeof peerNames)[number];

type Answer = Record<string, unknown>;

/**
 * Another library in a process of its own (bench/peers), which answers one line of JSON with another:
 * `hello` (threads) with version and device; `load` (case, variant, file with the tensors) with nothing, or `unsupported`
 * where it has no such variant; `output` (file) writes the result's float32 values; `time` (repeats) gives the seconds they take; `unload`.
 */
export class Peer {
  readonly name: PeerName;
  version = '';
  device = '';
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #waiting: { resolve: (answer: Answer) => void; reject: (error: Error) => void }[] = [];
  #complaints = '';
  #ended: Error | undefined;

  private constructor(name: PeerName, child: ChildProcessWithoutNullStreams) {
    this.name = name;
    this.#child = child;
    child.stderr.on('data', (text) => {
      this.#complaints = (this.#complaints + text).slice(-2000);
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      // What libraries print of their own is no answer.
      if (line.startsWith('{')) this.#waiting.shift()?.resolve(JSON.parse(line) as Answer);
    });
    const end = (error: Error): void => {
      this.#ended ??= error;
      for (const { reject } of this.#waiting.splice(0)) reject(error);
    };
    child.stdin.on('error', () => {});
    child.on('error', end);
    child.on('close', (code) => end(new Error(this.#complaints.trim().split('\n').pop() || `it ended with status ${code}`)));
  }

  /** Starts a peer; rejects, saying why, where it is not installed. */
  static async start(name: PeerName, threads: number, python: string): Promise<Peer> {
    const script = path.join(packageRoot, 'bench', 'peers', name === 'onnxruntime' ? 'onnxruntime.mjs' : `${name}.py`);
    const peer = new Peer(
      name,
      spawn(name === 'onnxruntime' ? process.execPath : python, [script], { env: { ...process.env, OMP_NUM_THREADS: String(threads) } }),
    );
    const { version, device } = await peer.ask({ command: 'hello', threads });
    [peer.version, peer.device] = [String(version), String(device)];
    return peer;
  }

  /** Sends a request and waits for its answer; rejects with the peer's own error. */
  async ask(request: Answer): Promise<Answer> {
    if (this.#ended) throw this.#ended;
    const answer = await new Promise<Answer>((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#child.stdin.write(`${JSON.stringify(request)}\n`);
    });
    if (typeof answer.error === 'string') throw new Error(answer.error);
    return answer;
  }

  close(): void {
    this.#child.stdin.end();
  }
}

/** A variant of a case as a peer computes it. */
export class PeerSubject {
  readonly peer: Peer;
  readonly variant: Variant;
  readonly mostRepeats = 1000;
  // torch's OpenMP threads: up to 10 ms were measured.
  readonly pollsMilliseconds = 20;

  constructor(peer: Peer, variant: Variant) {
    [this.peer, this.variant] = [peer, variant];
  }

  /** Gives the peer the case; false where it has no such variant. */
  async load(item: Case, file: string): Promise<boolean> {
    return !(await this.peer.ask({ command: 'load', id: this.variant, case: item, variant: this.variant, file })).unsupported;
  }

  async time(repeats: number): Promise<number> {
    return Number((await this.peer.ask({ command: 'time', id: this.variant, repeats })).seconds);
  }

  async output(): Promise<Float32Array> {
    return withFolder(async (folder) => {
      const file = path.join(folder, 'output.f32');
      await this.peer.ask({ command: 'output', id: this.variant, file });
      const bytes = await readFile(file);
      return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
    });
  }

  async dispose(): Promise<void> {
    await this.peer.ask({ command: 'unload', id: this.variant });
  }
}

async function withFolder<T>(body: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(path.join(tmpdir(), 'weightnorm-bench-'));
  try {
    return await body(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Gives a case to a peer: the variants that it knows, each with the reason where it cannot compute it. */
export async function loadInto(peer: Peer, item: Case, workload: Workload): Promise<{ subject: PeerSubject; failed?: string }[]> {
  return withFolder(async (folder) => {
    const file = path.join(folder, 'tensors.safetensors');
    await saveSafetensors(file, workload.tensors);
    const loaded: { subject: PeerSubject; failed?: string }[] = [];
    for (const variant of ['op', 'backward', 'live', 'folded'] as const) {
      if (!item.variants.includes(variant)) continue;
      const subject = new PeerSubject(peer, variant);
      try {
        if (await subject.load(item, file)) loaded.push({ subject });
      } catch (error) {
        loaded.push({ subject, failed: (error as Error).message });
      }
    }
    return loaded;
  });
}
