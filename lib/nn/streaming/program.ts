import { maybe, writeActivation } from '../../fused.js';
import { addon, type NativePush, type NativeTemplate, type NativeTensor } from '../../native.js';
import { nativeOf, type Tensor, wrapOne } from '../../tensor.js';
import { AnyConvNode } from './conv-node.js';
import { LimitNode, SourceNode } from './nodes.js';
import { ConvOperands } from './operands.js';
import type { StreamPlan, Transition } from './plan.js';

// Places in the program's numbers; lib/native.ts says what they mean.
const header = 2;
const stepNumbers = 37;
const geometry = 17;
const activations = 31;
const kinds = { hold: 0, input: 1, copy: 2, conv: 3 } as const;

/**
 * @internal Channels of each node's output, where a push can be one operation: the graph is of convolutions over [N, C, L], the
 * last of which may be limited. Null for all others.
 */
export function channelsOf({ nodes, output, axis, channels, lastUse }: StreamPlan): number[] | null {
  if (axis !== 2 || channels === null || output !== nodes.length - 1 || output === 0) return null;
  const found: number[] = [];
  for (const [i, node] of nodes.entries()) {
    if (i !== output && (lastUse[i] as number) < 0) return null;
    if (node instanceof SourceNode) found.push(channels);
    else if (node instanceof AnyConvNode) found.push(node.layer.outChannels);
    else if (node instanceof LimitNode && i === output) found.push(found[node.inputs[0] as number] as number);
    else return null;
  }
  return found;
}

/** @internal One push of a plan as numbers for the add-on, made once; whether the layers' tensors are still the same is asked at each push. */
export class StreamProgram {
  readonly #numbers: Float64Array;
  readonly #convs: { node: AnyConvNode; at: number; window: readonly [number, number, number] }[] = [];
  /** What the last push was given, from the second on: those of streams cut at random are not worth it. */
  #given: ConvOperands[] = [];
  #template: NativeTemplate | null = null;
  #pushes = 0;

  constructor(plan: StreamPlan, transition: Transition, channels: readonly number[]) {
    const { nodes, lastUse } = plan;
    const { before, steps, next } = transition;
    const numbers = [0, 0];
    const places = nodes.map(() => -1);
    const free: number[] = [];
    let [slots, headAt, keepAt] = [0, 0, 0];
    for (const [i, node] of nodes.entries()) {
      const step = steps[i];
      const fresh = i === 0 ? transition.pushed : (step?.count ?? 0);
      const [head, keep, width] = [before[i] as number, next.lengths[i] as number, channels[i] as number];
      if (head + fresh > 0) {
        if (i !== plan.output) places[i] = free.pop() ?? slots++;
        const kind = i === 0 && fresh > 0 ? kinds.input : !step ? kinds.hold : node instanceof AnyConvNode ? kinds.conv : kinds.copy;
        const at = numbers.length;
        numbers.push(kind, places[i] as number, width, fresh, head, headAt, keep, keepAt);
        const { inputs } = node;
        for (let k = 0; k < 3; k++) {
          // A convolution without a residual may have a running sum.
          const input = k > 0 && node instanceof AnyConvNode && !node.hasResidual ? k - 1 : k;
          const read = (k === 1 && input === 0) || input >= inputs.length ? null : (transition.reads[i]?.[input] ?? null);
          numbers.push(...(read ? [places[inputs[input] as number] as number, ...read] : [-1, 0, 0]));
        }
        numbers.push(...new Array<number>(stepNumbers - geometry).fill(0));
        if (step?.window && node instanceof AnyConvNode) this.#convs.push({ node, at, window: [step.window.begin, step.window.end, step.window.extra] });
      }
      headAt += head * width;
      keepAt += keep * width;
      for (const input of new Set(node.inputs)) {
        if (lastUse[input] === i && (places[input] as number) >= 0) free.push(places[input] as number);
      }
    }
    [numbers[0], numbers[1]] = [slots, keepAt];
    this.#numbers = Float64Array.from(numbers);
  }

  /** New tensors: what is kept of all values, a row a stream, and the output. When it throws, nothing has changed. */
  run(before: Tensor | null, x: Tensor | null): { after: Tensor | null; output: Tensor | null } {
    const numbers = this.#numbers;
    if (numbers.length === header) return { after: null, output: null };
    const { device } = (x ?? before) as Tensor;
    const [input, state] = [maybe(x, 'x'), maybe(before, 'state')];
    const again = this.#template && this.#given.every((operands) => operands.current()) ? addon.streamAgain(input, state, this.#template) : null;
    const [output, after] = again ?? this.#first(input, state);
    return { output: output && wrapOne(output, device), after: after && wrapOne(after, device) };
  }

  /** A push with all that belongs to it. */
  #first(x: NativeTensor | null, before: NativeTensor | null): NativePush {
    const numbers = this.#numbers;
    const tensors: (NativeTensor | null)[] = [];
    const given = this.#convs.map(({ node, at, window }) => {
      const operands = new ConvOperands(node);
      const { weight, bias, scale, scalePerInput, geometry: own } = operands.values;
      const { pre, post, outScale } = operands.fusion;
      const place = at + geometry;
      numbers.set(own, place);
      [numbers[place + 5], numbers[place + 7], numbers[place + 9]] = window;
      if (outScale !== undefined) numbers[place + 12] = outScale;
      if (scalePerInput) numbers[place + 13] = (numbers[place + 13] as number) | 2;
      tensors.push(
        nativeOf(weight, 'weight'),
        maybe(bias, 'bias'),
        maybe(scale, 'scale'),
        writeActivation(numbers, at + activations, pre),
        writeActivation(numbers, at + activations + 3, post),
      );
      return operands;
    });
    const made = addon.stream(x, before, numbers, tensors, ++this.#pushes > 1);
    [this.#template, this.#given] = [made[2], made[2] ? given : []];
    return made;
  }
}
