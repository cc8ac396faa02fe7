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
 * `hello` (threads) with version and device; `load` (case, variant, file with the tensors) with nothing, or why it is
 * unsupported; `output` (file) writes the result's float32 values; `time` (repeats) gives the seconds they take; `unload`.
 */
export class Peer {
  readonly name: PeerName;
  version = '';
  device = '';
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #waiting: { resolve: (answer: Answer) => void; reject: (error: Error) => void }[] = [];
  #complaints = '';

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
    if (this.#child.exitCode !== null) throw new Error(this.#complaints.trim().split('\n').pop() || 'it has ended');
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
  readonly #id: string;

  constructor(peer: Peer, variant: Variant, id: string) {
    [this.peer, this.variant, this.#id] = [peer, variant, id];
  }

  async time(repeats: number): Promise<number> {
    return Number((await this.peer.ask({ command: 'time', id: this.#id, repeats })).seconds);
  }

  async output(): Promise<Float32Array> {
    const folder = await mkdtemp(path.join(tmpdir(), 'weightnorm-bench-'));
    try {
      const file = path.join(folder, 'output.f32');
      await this.peer.ask({ command: 'output', id: this.#id, file });
      const bytes = await readFile(file);
      return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  async dispose(): Promise<void> {
    await this.peer.ask({ command: 'unload', id: this.#id });
  }
}

/** Gives a case to a peer: the variants it can compute, and why not the others. */
export async function loadInto(peer: Peer, item: Case, workload: Workload): Promise<{ subjects: PeerSubject[]; unsupported: string[] }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'weightnorm-bench-'));
  const subjects: PeerSubject[] = [];
  const unsupported: string[] = [];
  try {
    const file = path.join(folder, 'tensors.safetensors');
    await saveSafetensors(file, workload.tensors);
    for (const variant of ['op', 'backward', 'live', 'folded'] as const) {
      if (!item.variants.includes(variant)) continue;
      const answer = await peer.ask({ command: 'load', id: variant, case: item, variant, file });
      if (answer.unsupported) unsupported.push(`${variant}: ${answer.unsupported}`);
      else subjects.push(new PeerSubject(peer, variant, variant));
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return { subjects, unsupported };
}
