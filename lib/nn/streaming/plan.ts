import { fail } from '../../errors.js';
import type { Module } from '../module.js';
import type { Advance, StreamNode } from './node.js';
import { channelsOf, StreamProgram } from './program.js';
import { Signal, StreamGraph } from './signal.js';

/** @internal What a stream has kept, in numbers: equal for two streams whose next steps are computed alike. */
export interface StreamLayout {
  /** Steps kept of each node's output. */
  readonly lengths: readonly number[];
  /** Where each consumer of it stands, from the first step kept. */
  readonly cursors: readonly (readonly number[])[];
  readonly own: readonly number[];
  /** Which nodes have had outputs. */
  readonly begun: readonly boolean[];
  /** Names all of the above. */
  readonly key: string;
}

/** @internal One push in numbers. */
export interface Transition {
  readonly pushed: number;
  /** Steps that were kept of each node's output. */
  readonly before: readonly number[];
  /** For each node what it computes; null: nothing. */
  readonly steps: readonly (Advance | null)[];
  /** For each node what it reads of its inputs: [first step kept or new, length]. */
  readonly reads: readonly (readonly (readonly [number, number] | null)[])[];
  /** For each node how many steps of its output are forgotten afterwards. */
  readonly forgotten: readonly number[];
  readonly outputs: number;
  readonly next: StreamLayout;
}

/** Steady streams need a few; streams cut at random pass through more. */
const mostLayouts = 512;
const mostTransitions = 32;

/** @internal How a module streams: its operations, and the arithmetic of what is determined when. Shared by all its streams. */
export class StreamPlan {
  readonly nodes: readonly StreamNode[];
  /** Index of the node whose output is the module's. */
  readonly output: number;
  readonly axis: number;
  readonly channels: number | null;
  /** For each node the last one that reads it; −1: none. */
  readonly lastUse: readonly number[];
  readonly initial: StreamLayout;
  readonly #layouts = new Map<string, StreamLayout>();
  readonly #transitions = new WeakMap<StreamLayout, Map<number, Transition>>();
  readonly #programs = new WeakMap<Transition, StreamProgram>();
  /** Of each node's output, where the push is one operation. */
  readonly #nodeChannels: readonly number[] | null;
  #lookahead: number | null = null;

  constructor(module: Module) {
    const graph = new StreamGraph();
    const output = new Signal(graph, 0).through(module);
    if (!(output instanceof Signal) || output.graph !== graph)
      fail('ERR_STATE', `${module.constructor.name}: streamed must return a signal made from its argument`);
    this.nodes = graph.nodes;
    this.output = output.index;
    this.axis = graph.axis;
    this.channels = graph.channels;
    const lastUse = this.nodes.map(() => -1);
    for (const [i, { inputs }] of this.nodes.entries()) for (const input of inputs) lastUse[input] = i;
    this.lastUse = lastUse;
    this.#nodeChannels = channelsOf(this);
    const { nodes } = this;
    this.initial = layoutOf(
      nodes.map(() => 0),
      nodes.map(({ start }) => [...start]),
      nodes.map(({ own }) => own),
      nodes.map(() => false),
    );
  }

  /** Outputs a step of the input. */
  get rate(): number {
    const { up, down } = this.nodes[this.output] as StreamNode;
    return up / down;
  }

  /** Input steps that must be known beyond the one an output belongs to. Infinite where the end must be known. */
  get lookahead(): number {
    this.#lookahead ??= this.#lookaheadOf();
    return this.#lookahead;
  }

  /** What the layers need repeats after `up` outputs, so twice as many show every case: that of the start, and of later. */
  #lookaheadOf(): number {
    const { up, down } = this.nodes[this.output] as StreamNode;
    let most = 0;
    for (let output = 0; output < 2 * up; output++) {
      const needed = this.nodes.map(() => Number.NEGATIVE_INFINITY);
      needed[this.output] = output;
      for (let i = this.output; i > 0; i--) {
        if (needed[i] === Number.NEGATIVE_INFINITY) continue;
        const { inputs, need } = this.nodes[i] as StreamNode;
        need.call(this.nodes[i], needed[i] as number).forEach((step, k) => {
          const input = inputs[k] as number;
          needed[input] = Math.max(needed[input] as number, step);
        });
      }
      most = Math.max(most, (needed[0] as number) - Math.floor((output * down) / up));
    }
    return most;
  }

  /** What a push of `steps` does to a stream; `ended`: nothing follows. Throws ERR_SHAPE where the whole input is too short. */
  transition(layout: StreamLayout, steps: number, ended: boolean): Transition {
    const known = this.#transitions.get(layout) ?? new Map<number, Transition>();
    this.#transitions.set(layout, known);
    const key = 2 * steps + Number(ended);
    const cached = known.get(key);
    if (cached) return cached;
    const made = this.#transition(layout, steps, ended);
    if (known.size >= mostTransitions) known.clear();
    known.set(key, made);
    return made;
  }

  /** The transition as one operation; null where a module's own functions take part in it. */
  program(transition: Transition): StreamProgram | null {
    if (!this.#nodeChannels) return null;
    const known = this.#programs.get(transition);
    if (known) return known;
    const made = new StreamProgram(this, transition, this.#nodeChannels);
    this.#programs.set(transition, made);
    return made;
  }

  /** The same object for the same layout, while it is known. */
  #shared(layout: StreamLayout): StreamLayout {
    const known = this.#layouts.get(layout.key);
    if (known) return known;
    if (this.#layouts.size >= mostLayouts) this.#layouts.clear();
    this.#layouts.set(layout.key, layout);
    return layout;
  }

  #transition(layout: StreamLayout, pushed: number, ended: boolean): Transition {
    const { nodes } = this;
    const lengths = [...layout.lengths];
    const cursors = layout.cursors.map((list) => [...list]);
    const own = [...layout.own];
    const begun = [...layout.begun];
    const grown = nodes.map(() => 0);
    const steps: (Advance | null)[] = [null];
    const reads: Transition['reads'][number][] = [[]];
    const grow = (i: number, count: number): void => {
      grown[i] = count;
      begun[i] ||= count > 0;
      if ((this.lastUse[i] as number) >= 0) lengths[i] = (lengths[i] as number) + count;
    };
    grow(0, pushed);
    for (let i = 1; i < nodes.length; i++) {
      const node = nodes[i] as StreamNode;
      const at = node.inputs.map((input, k) => {
        const cursor = cursors[i]?.[k] as number;
        return { ready: (lengths[input] as number) - cursor, before: Math.max(0, -cursor), grown: grown[input] as number };
      });
      const step = node.advance(at, own[i] as number, ended);
      reads.push(step.reads.map((read, k) => read && [(cursors[i]?.[k] as number) + read[0], read[1]]));
      steps.push(step.count > 0 ? step : null);
      own[i] = step.own;
      cursors[i] = step.take.map((count, k) => (cursors[i]?.[k] as number) + count);
      grow(i, step.count);
      if (ended && begun[0] && !begun[i]) fail('ERR_SHAPE', `the stream ended after too few steps: ${node.name} has no output`);
    }
    const forgotten = this.#forget(lengths, cursors, ended);
    return {
      pushed,
      before: layout.lengths,
      steps,
      reads,
      forgotten,
      outputs: grown[this.output] as number,
      next: this.#shared(layoutOf(lengths, cursors, own, begun)),
    };
  }

  /** Drops what no cursor will reach again. */
  #forget(lengths: number[], cursors: number[][], ended: boolean): number[] {
    const forgotten = [...lengths];
    const each = (visit: (list: number[], k: number, input: number) => void): void => {
      for (const [i, { inputs }] of this.nodes.entries()) for (const [k, input] of inputs.entries()) visit(cursors[i] as number[], k, input);
    };
    if (!ended) {
      each((list, k, input) => {
        forgotten[input] = Math.min(forgotten[input] as number, Math.max(0, list[k] as number));
      });
    }
    each((list, k, input) => {
      list[k] = (list[k] as number) - (forgotten[input] as number);
    });
    for (const [i, count] of forgotten.entries()) lengths[i] = (lengths[i] as number) - count;
    return forgotten;
  }
}

function layoutOf(lengths: readonly number[], cursors: readonly (readonly number[])[], own: readonly number[], begun: readonly boolean[]): StreamLayout {
  return { lengths, cursors, own, begun, key: [lengths.join(), cursors.flat().join(), own.join(), begun.map(Number).join('')].join(';') };
}
