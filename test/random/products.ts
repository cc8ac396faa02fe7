import { functional as F } from 'weightnorm';
import { convReference, convTransposeReference, layerTolerance } from '../support/conv-reference';
import { broadcast, broadcastAt, nearNorm, sizeOf, unravel, type Value } from './model';
import { alike, at, disposed } from './support';
import type { Codes, World } from './world';

/** Sizes of a convolution's result along one axis, and what is wrong with the request. */
function outputExtent(
  codes: Codes,
  o: { transposed: boolean; stride: number; dilation: number; padding: [number, number]; extra: number; mode: string },
  length: number,
  kernel: number,
): number {
  const span = o.dilation * (kernel - 1) + 1;
  if (o.transposed) {
    if (o.extra >= o.stride && o.extra >= o.dilation) codes.add('ERR_ARGUMENT');
    const out = (length - 1) * o.stride - o.padding[0] - o.padding[1] + span + o.extra;
    if (out < 1) codes.add('ERR_SHAPE');
    return out;
  }
  const most = o.mode === 'reflect' ? length - 1 : o.mode === 'circular' ? length : Number.POSITIVE_INFINITY;
  if (Math.max(...o.padding) > most) codes.add('ERR_ARGUMENT');
  const room = length + o.padding[0] + o.padding[1] - span;
  if (room < 0) codes.add('ERR_SHAPE');
  return Math.floor(room / o.stride) + 1;
}

function convolution(w: World): void {
  const flat = w.next(3) !== 0;
  const transposed = w.next(2) === 1;
  const groups = w.next(3) === 0 ? 2 : 1;
  const [perGroup, outputs] = [1 + w.next(4), 1 + w.next(4)];
  const spatial = (dims: number[]): number[] => (flat ? dims.slice(1) : dims);
  const fit = w.create([1 + w.next(2), perGroup * groups, ...spatial([1 + w.next(5), 1 + w.next(20)])]);
  const x = w.rarely(16) ? w.any() : fit;
  const kernel = spatial([1 + w.next(3), 1 + w.next(5)]);
  const weight = w.beside(x, transposed ? [perGroup * groups, outputs, ...kernel] : [outputs * groups, perGroup, ...kernel]);
  const bias = w.next(2) === 0 ? null : w.beside(x, [outputs * groups], w.next(3) === 0 ? 'float32' : x.dtype);
  const stride = 1 + w.next(3);
  const dilation = 1 + w.next(3);
  const padding: [number, number] = [w.next(4), w.next(4)];
  const extra = transposed ? w.next(2) : 0;
  const mode = transposed ? 'zeros' : (w.pick(['zeros', 'reflect', 'replicate', 'circular']) as F.PaddingMode);
  const algorithm = w.pick(['auto', 'direct'] as const);
  const pads = flat ? padding : [padding, padding];

  const codes = disposed([x, weight, ...(bias ? [bias] : [])]);
  alike(codes, x, [weight]);
  alike(codes, x, [bias], true);
  const rank = flat ? 3 : 4;
  const ranks = x.shape.length === rank && weight.shape.length === rank;
  let shape: number[] = [];
  if (!ranks) codes.add('ERR_SHAPE');
  else {
    const [first, second] = [weight.shape[0] as number, weight.shape[1] as number];
    if (x.shape[1] !== (transposed ? first : second * groups)) codes.add('ERR_SHAPE');
    if (first % groups !== 0) codes.add('ERR_ARGUMENT');
    const o = { transposed, stride, dilation, padding, extra, mode };
    const sizes = x.shape.slice(2).map((length, axis) => outputExtent(codes, o, length, weight.shape[axis + 2] as number));
    const produced = transposed ? second * groups : first;
    if (bias && bias.shape.join() !== `${produced}`) codes.add('ERR_SHAPE');
    shape = [x.shape[0] as number, produced, ...sizes];
  }
  const call = transposed ? (flat ? F.convTranspose1d : F.convTranspose2d) : flat ? F.conv1d : F.conv2d;
  const options = transposed ? { outputPadding: extra } : { paddingMode: mode };
  const y = w.attempt(codes, () => call(x.tensor, weight.tensor, bias?.tensor, { stride, dilation, padding: pads as never, groups, algorithm, ...options }));
  if (!y) return;
  const [xv, wv, bv] = [x.value, weight.value, bias?.value];
  w.add(y, shape, x.dtype, x.device, (got) => {
    const reference = (part: (v: number) => number) =>
      (transposed ? convTransposeReference : convReference)({
        x: Float64Array.from(xv.numbers, part),
        xShape: four(xv.shape),
        weight: Float64Array.from(wv.numbers, part),
        wShape: four(wv.shape),
        bias: bv && Float64Array.from(bv.numbers, part),
        stride: [flat ? 1 : stride, stride],
        dilation: [flat ? 1 : dilation, dilation],
        padBegin: [flat ? 0 : padding[0], padding[0]],
        padEnd: [flat ? 0 : padding[1], padding[1]],
        outputPadding: [flat ? 0 : extra, extra],
        groups,
        mode,
      }).data;
    nearNorm(
      'convolution',
      got,
      reference((v) => v),
      reference(Math.abs),
      layerTolerance(sizeOf(wv.shape) / (wv.shape[0] as number), x.dtype),
      w.tally,
    );
  });
}

const four = (shape: readonly number[]): [number, number, number, number] =>
  (shape.length === 3 ? [shape[0], shape[1], 1, shape[2]] : [...shape]) as [number, number, number, number];

/** y = x · weightᵀ + bias in float64, compared by its norm. */
export function linearNear(w: World, got: Value, x: Value, weight: ArrayLike<number>, bias: Value | undefined, outputs: number): void {
  const inputs = x.shape.at(-1) as number;
  const reference = (part: (n: number) => number): Float64Array =>
    Float64Array.from(got.numbers, (_, i) => {
      const [row, output] = [Math.floor(i / outputs), i % outputs];
      let sum = bias ? part(at(bias.numbers, output)) : 0;
      for (let k = 0; k < inputs; k++) sum += part(at(x.numbers, row * inputs + k)) * part(at(weight, output * inputs + k));
      return sum;
    });
  nearNorm(
    'linear',
    got,
    reference((n) => n),
    reference(Math.abs),
    layerTolerance(inputs, got.dtype),
    w.tally,
  );
}

/** Matrix products and convolutions. */
export const products: Record<string, (w: World) => void> = {
  matmul(w) {
    const a = w.next(3) ? w.create([...w.randomShape(0, 1), 1 + w.next(6), 1 + w.next(9)]) : w.any();
    const inner = a.shape.at(-1) ?? 1;
    const lead = a.shape.slice(0, -2).map((dim) => (w.next(2) ? dim : 1));
    const b = w.beside(a, [...lead.slice(w.next(2)), inner, 1 + w.next(6)]);
    const codes = disposed([a, b]);
    alike(codes, a, [b]);
    const [ar, br] = [a.shape.length, b.shape.length];
    const shape = ar < 2 || br < 2 ? null : broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2));
    if (!shape || a.shape[ar - 1] !== b.shape[br - 2]) codes.add('ERR_SHAPE');
    const y = w.attempt(codes, () => F.matmul(a.tensor, b.tensor));
    if (!y || !shape) return;
    const [av, bv] = [a.value, b.value];
    const [rows, columns] = [a.shape[ar - 2] as number, b.shape[br - 1] as number];
    w.add(y, [...shape, rows, columns], a.dtype, a.device, (got) => {
      const reference = (part: (n: number) => number): Float64Array =>
        Float64Array.from(got.numbers, (_, i) => {
          const batch = unravel(Math.floor(i / (rows * columns)), shape);
          const [row, column] = [Math.floor(i / columns) % rows, i % columns];
          const [p, q] = [broadcastAt(av.shape.slice(0, -2), batch) * rows + row, broadcastAt(bv.shape.slice(0, -2), batch)];
          let sum = 0;
          for (let k = 0; k < inner; k++) sum += part(at(av.numbers, p * inner + k)) * part(at(bv.numbers, (q * inner + k) * columns + column));
          return sum;
        });
      nearNorm(
        'matmul',
        got,
        reference((n) => n),
        reference(Math.abs),
        layerTolerance(inner, a.dtype),
        w.tally,
      );
    });
  },

  linear(w) {
    const x = w.next(2) ? w.create([...w.randomShape(0, 2), 1 + w.next(9)]) : w.any();
    const inputs = x.shape.at(-1) ?? 1;
    const weight = w.beside(x, [1 + w.next(7), inputs]);
    const outputs = weight.shape[0] ?? 1;
    const bias = w.next(2) ? w.beside(x, [outputs], w.next(3) ? x.dtype : 'float32') : null;
    const codes = disposed([x, weight, ...(bias ? [bias] : [])]);
    alike(codes, x, [weight]);
    alike(codes, x, [bias], true);
    if (x.shape.length < 1 || weight.shape.length !== 2 || inputs !== weight.shape[1] || (bias && bias.shape.join() !== `${outputs}`)) codes.add('ERR_SHAPE');
    const y = w.attempt(codes, () => F.linear(x.tensor, weight.tensor, bias?.tensor));
    if (!y) return;
    const values = [x.value, weight.value, bias?.value] as const;
    w.add(y, [...x.shape.slice(0, -1), outputs], x.dtype, x.device, (got) => linearNear(w, got, values[0], values[1].numbers, values[2], outputs));
  },

  conv: convolution,
};
